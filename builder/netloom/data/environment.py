"""An environment of reinforcement learning, and its episodes as rows of data.

The environments are those of Gymnasium (https://gymnasium.farama.org) without wrappers, so that their whole state can
be saved as plain values and restored: an interrupted run resumes in the middle of an episode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypedDict

import numpy as np
from pydantic import Field

from netloom.core.errors import DataError
from netloom.core.plain_json import Json, JsonObject
from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.category_column import CategoryEncoder, CategoryState
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.column_encoder import ColumnState
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState
from netloom.modalities.encoding.table_fields import TableState
from netloom.modalities.fields.series import scale_of
from netloom.modalities.fields.table import TableModality

# The maximum steps of an example episode, so that each split has several episodes.
LONGEST_EXAMPLE = 100
# The first seed of example episodes; training and evaluation use other seeds.
EXAMPLE_SEEDS = 7_000_000
FIELD = "observation"


class WorldState(TypedDict):
    """The complete state of a simulation as plain JSON: the steps of the episode so far, the state of its random
    generator, and its attributes by name, arrays as their type and values."""

    elapsed: int
    random: Json
    held: Mapping[str, Any]


class World:
    """A copy of an environment. An observation is an array of numbers, or a single integer if it is discrete."""

    def __init__(self, environment: Environment) -> None:
        import gymnasium

        simulation = gymnasium.make(environment.gymnasium, **environment.settings())
        self._inner: Any = simulation.unwrapped
        self._state_attributes = environment.state_attributes
        self.limit: int = (
            simulation.spec.max_episode_steps if simulation.spec and simulation.spec.max_episode_steps else 500
        )
        self.elapsed = 0

    def reset(self, seed: int | None = None) -> np.ndarray:
        """Start an episode and return its first observation. Without a seed, the random generator continues."""
        self.elapsed = 0
        return np.asarray(self._inner.reset(seed=seed)[0])

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """Take an action. Returns the observation, the reward, whether the state is terminal, and whether the time
        limit is reached."""
        observation, reward, ended, _, _ = self._inner.step(action)
        self.elapsed += 1
        return np.asarray(observation), float(reward), bool(ended), not ended and self.elapsed >= self.limit

    def state(self) -> WorldState:
        """Return the complete state as plain JSON."""
        return {
            "elapsed": self.elapsed,
            "random": self._inner.np_random.bit_generator.state,
            "held": {name: _plain(getattr(self._inner, name)) for name in self._state_attributes},
        }

    def restore(self, state: WorldState) -> None:
        """Restore a `state`."""
        self.elapsed = state["elapsed"]
        self._inner.reset(seed=0)  # creates the random generator
        self._inner.np_random.bit_generator.state = state["random"]
        for name, value in state["held"].items():
            setattr(self._inner, name, np.array(value[1], dtype=value[0]) if isinstance(value, list) else value)


def _plain(value: Any) -> Any:
    """Return None and integers unchanged, and an array as its type and values, which JSON preserves exactly."""
    if value is None or isinstance(value, (int, np.integer)):
        return None if value is None else int(value)
    array = np.asarray(value)
    return [str(array.dtype), array.tolist()]


class Environment(Dataset, ABC):
    """An environment as a dataset: its rows are observations and actions in episodes of a simple policy.

    Nothing is learned from these rows; they are examples for display and explanations.
    """

    kind: ClassVar[str] = "environment"
    task: ClassVar[str] = "dqn"
    gymnasium: ClassVar[str]
    actions: ClassVar[tuple[str, ...]]
    # By column: the offset and the scale of the standardization.
    columns: ClassVar[dict[str, tuple[float, float]]] = {}
    # The attributes of Gymnasium's environment that change between steps, besides its random generator.
    state_attributes: ClassVar[tuple[str, ...]] = ("state",)
    # The name of its drawing on the Results page.
    drawing: ClassVar[str]

    rows: Rows = Field(2000, description="Number of steps of a simple policy that are shown as examples")

    @abstractmethod
    def rule(self, observation: np.ndarray) -> int:
        """Return the action of a simple heuristic policy."""

    def settings(self) -> JsonObject:
        """Return the arguments of the environment."""
        return {}

    def observed_row(self, observation: np.ndarray) -> RawRow:
        """Return an observation as a raw row."""
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
        """Return rows, actions and the episode number of each row, of a policy that follows the rule half of the
        time."""
        world, random = World(self), np.random.default_rng(7)
        rows, actions, groups = list[dict[str, Any]](), list[int](), list[int]()
        episode, over = -1, True
        observation = np.zeros(0)
        while len(rows) < self.rows:
            if over:
                episode += 1
                observation = world.reset(EXAMPLE_SEEDS + episode)
            action = self.rule(observation) if random.random() < 0.5 else int(random.integers(len(self.actions)))
            rows.append(self.observed_row(observation))
            actions.append(action)
            groups.append(episode)
            observation, _, ended, late = world.step(action)
            over = ended or late or world.elapsed >= LONGEST_EXAMPLE
        return rows, actions, groups


@dataclass
class Episodes(Table):
    """Steps in an environment: observations and actions."""

    environment: Environment | None = None

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        scale = scale_of(prepare)
        if scale != "none":
            raise DataError("An environment defines the scale of its observations; choose 'standardize' or 'none'.")
        return replace(self, settings={"scale": scale, **self.settings})

    @property
    def column_kinds(self) -> dict[str, str]:
        return {}

    def fit(self, rows: np.ndarray) -> TableState:
        """Return the declared scales of the environment, because an agent reaches states that no example contains."""
        declared = self.environment.columns if self.environment else {}
        plain = self.settings.get("scale") == "none"
        columns: list[ColumnState] = [
            NumberState(
                name=name,
                type=NumberEncoder.type,
                median=declared[name][0],
                mean=0.0 if plain else declared[name][0],
                std=1.0 if plain else declared[name][1],
            )
            for name in self.numbers
        ]
        for name in self.categories:
            columns.append(CategoryState(name=name, type=CategoryEncoder.type, values=self.known(name)))
        return TableModality().state(self.name, columns)

    def known(self, name: str) -> list[str]:
        """Return all categories of a column."""
        listed = getattr(self.environment, "values", {})
        return list(listed.get(name, sorted(set(self.categories[name]))))


class Senses:
    """Converts observations (N, …) to inputs of the network, float32 (N, F), like `encode_rows`."""

    def __init__(self, field: FieldEncoder[Any], environment: Environment) -> None:
        numbers = [column.state for column in field.columns if isinstance(column, NumberEncoder)]
        self._table: np.ndarray | None = None
        if numbers:
            self._mean = np.array([column.mean for column in numbers])
            self._std = np.array([column.std for column in numbers])
            self.width = len(numbers)
            return
        # A discrete observation is a category index; the last category represents unknown ones.
        rows = [environment.observed_row(np.asarray(number)) for number in range(field.columns[0].width - 1)]
        self._table = field.encode(rows)
        self.width = self._table.shape[1]

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        if self._table is not None:
            encoded: np.ndarray = self._table[observations]
            return encoded
        scaled: np.ndarray = ((observations.astype(np.float64) - self._mean) / self._std).astype(np.float32)
        return scaled
