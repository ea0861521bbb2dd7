"""An environment in which an agent acts, and its episodes as rows of data.

The environments are Gymnasium's own (https://gymnasium.farama.org), taken without its wrappers, so that the whole state
of one can be taken out as plain values and put back: a run that was killed goes on in the middle of an episode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from netloom.core.errors import DataError
from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import Fitted, RawDataset
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.category_column import CategoryEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.number_column import NumberEncoder
from netloom.modalities.fields.series import scale_of
from netloom.modalities.fields.table import TableModality

# An episode that is shown as examples ends after so many steps, so that there are some for each split.
LONGEST_EXAMPLE = 100
# Where the seeds of episodes that are shown as examples begin; training and measuring take others.
EXAMPLE_SEEDS = 7_000_000
FIELD = "observation"


class World:
    """One copy of an environment. An observation is an array of numbers, or one number where it is discrete."""

    def __init__(self, environment: Environment) -> None:
        import gymnasium

        simulation = gymnasium.make(environment.gymnasium, **environment.settings())
        self._inner: Any = simulation.unwrapped
        self._held = environment.held
        self.limit: int = (
            simulation.spec.max_episode_steps if simulation.spec and simulation.spec.max_episode_steps else 500
        )
        self.elapsed = 0

    def reset(self, seed: int | None = None) -> np.ndarray:
        """A new episode's first observation; its chance goes on from the last episode where no seed is given."""
        self.elapsed = 0
        return np.asarray(self._inner.reset(seed=seed)[0])

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """What is seen after an action, its reward, and whether the episode ended there or ran out of time."""
        observation, reward, ended, _, _ = self._inner.step(action)
        self.elapsed += 1
        return np.asarray(observation), float(reward), bool(ended), not ended and self.elapsed >= self.limit

    def state(self) -> dict[str, Any]:
        """Everything that what comes next depends on, as plain JSON."""
        return {
            "elapsed": self.elapsed,
            "random": self._inner.np_random.bit_generator.state,
            "held": {name: _plain(getattr(self._inner, name)) for name in self._held},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.elapsed = state["elapsed"]
        self._inner.reset(seed=0)  # so that it has a generator at all
        self._inner.np_random.bit_generator.state = state["random"]
        for name, value in state["held"].items():
            setattr(self._inner, name, np.array(value[1], dtype=value[0]) if isinstance(value, list) else value)


def _plain(value: Any) -> Any:
    """None or a whole number as they are, an array as its type and numbers, which JSON keeps to the last bit."""
    if value is None or isinstance(value, (int, np.integer)):
        return None if value is None else int(value)
    array = np.asarray(value)
    return [str(array.dtype), array.tolist()]


class Environment(Dataset, ABC):
    """Where an agent acts, as a dataset: its rows are observations from episodes of a simple player, with its actions.

    Nothing is learned from these rows. They show what is seen, and stand as examples where answers are explained.
    """

    kind: ClassVar[str] = "environment"
    task: ClassVar[str] = "dqn"
    gymnasium: ClassVar[str]
    actions: ClassVar[tuple[str, ...]]
    # By column: what is taken away from its numbers, and what they are divided by.
    columns: ClassVar[dict[str, tuple[float, float]]] = {}
    # What Gymnasium's environment keeps between steps, apart from its random numbers.
    held: ClassVar[tuple[str, ...]] = ("state",)
    # Which drawing of the results page shows it.
    drawing: ClassVar[str]

    rows: Rows = Field(2000, description="How many steps of a simple player are shown as examples")

    @abstractmethod
    def rule(self, observation: np.ndarray) -> int:
        """A rule of thumb: the action of somebody who knows a little."""

    def settings(self) -> dict[str, Any]:
        """What the environment is made with."""
        return {}

    def seen(self, observation: np.ndarray) -> dict[str, Any]:
        """An observation as a raw row."""
        return dict(zip(self.columns, observation.tolist(), strict=True))

    def read(self) -> RawDataset:
        rows, actions, groups = self._examples()
        names = list(rows[0])
        numbers = {
            name: np.array([row[name] for row in rows], dtype=np.float64) for name in names if name in self.columns
        }
        return Episodes(
            name=FIELD,
            target=np.array(actions, dtype=np.int64),
            target_kind="action",
            target_name="action",
            classes=self.actions,
            groups=np.array(groups),
            numbers=numbers,
            categories={name: [row[name] for row in rows] for name in names if name not in self.columns},
            environment=self,
        )

    def _examples(self) -> tuple[list[dict[str, Any]], list[int], list[int]]:
        """Rows, actions and the number of each one's episode, of a player who follows the rule half of the time."""
        world, random = World(self), np.random.default_rng(7)
        rows, actions, groups = list[dict[str, Any]](), list[int](), list[int]()
        episode, over = -1, True
        observation = np.zeros(0)
        while len(rows) < self.rows:
            if over:
                episode += 1
                observation = world.reset(EXAMPLE_SEEDS + episode)
            action = self.rule(observation) if random.random() < 0.5 else int(random.integers(len(self.actions)))
            rows.append(self.seen(observation))
            actions.append(action)
            groups.append(episode)
            observation, _, ended, late = world.step(action)
            over = ended or late or world.elapsed >= LONGEST_EXAMPLE
        return rows, actions, groups


@dataclass
class Episodes(Table):
    """Steps in an environment: what was seen, and which action was taken."""

    environment: Environment | None = None

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        scale = scale_of(prepare)
        if scale != "none":
            raise DataError("An environment declares the scales of what is seen in it; choose 'standardize' or 'none'.")
        return replace(self, settings={"scale": scale, **self.settings})

    @property
    def column_kinds(self) -> dict[str, str]:
        return {}

    def fit(self, rows: np.ndarray) -> Fitted:
        """Scales that the environment declares, as an agent comes to see what no example shows."""
        declared = self.environment.columns if self.environment else {}
        plain = self.settings.get("scale") == "none"
        columns: list[dict[str, Any]] = [
            {
                "name": name,
                "type": NumberEncoder.type,
                "median": declared[name][0],
                "mean": 0.0 if plain else declared[name][0],
                "std": 1.0 if plain else declared[name][1],
            }
            for name in self.numbers
        ]
        for name in self.categories:
            columns.append({"name": name, "type": CategoryEncoder.type, "values": self.known(name)})
        return TableModality().state(self.name, columns)

    def known(self, name: str) -> list[str]:
        """All values that a column of categories can take."""
        listed = getattr(self.environment, "values", {})
        return list(listed.get(name, sorted(set(self.categories[name]))))


class Senses:
    """From observations (N, …) of an environment to what its network sees, float32 (N, F), as `encode_rows` has it."""

    def __init__(self, field: FieldEncoder[Any], environment: Environment) -> None:
        numbers = [column.column for column in field.columns if column.is_ordered]
        self._table: np.ndarray | None = None
        if numbers:
            self._mean = np.array([column["mean"] for column in numbers])
            self._std = np.array([column["std"] for column in numbers])
            self.width = len(numbers)
            return
        # A discrete observation is the number of a category, the last one of which stands for all others.
        rows = [environment.seen(np.asarray(number)) for number in range(field.columns[0].width - 1)]
        self._table = field.encode(rows)
        self.width = self._table.shape[1]

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        if self._table is not None:
            encoded: np.ndarray = self._table[observations]
            return encoded
        scaled: np.ndarray = ((observations.astype(np.float64) - self._mean) / self._std).astype(np.float32)
        return scaled
