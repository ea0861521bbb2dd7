"""The loop of an agent: it acts, learns from what came of it, and is tried out after each epoch.

A step is one action in the environment, an epoch so many steps as the document says. Whatever the curves hold is taken
at set steps, and everything that is drawn by chance has its own generator in the checkpoint, the environment's too: a
run that goes on from a checkpoint ends with the same weights and the same curves as one without a break.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.environment import Environment, Episodes, Senses, World
from netloom.training.checkpoints import Checkpoint
from netloom.training.loop import Best, Callback, DivergedError, Trainer, TrainingError
from netloom.training.reinforcement.episodes import play, seeds_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.data import Prepared

# How many points of the curves an epoch has.
POINTS = 20
# What is measured in episodes that it plays to be tried out; the loss is the mean return, negative.
MEASURED = ("loss", "return", "length")


@dataclass
class Player:
    """One environment in which the agent acts: what it shows, as the network sees it, and the episode so far."""

    world: World
    seen: np.ndarray
    total: float = 0.0
    length: int = 0


@dataclass
class Sums:
    """Means in the making, by name."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        for name, value in values.items():
            known = self.values.setdefault(name, [0.0, 0.0])
            known[0] += value
            known[1] += 1

    def take(self) -> dict[str, float]:
        """The means; what is added from here on counts anew."""
        found = {name: total / count for name, (total, count) in self.values.items()}
        self.values = {}
        return found


class ReinforcementTrainer(Trainer):
    """What all agents share. `step` counts actions, over all environments that are played side by side.

    Raises:
        TrainingError: the data is no environment, or a setting does not fit.
    """

    def _set_out(self) -> None:
        self.model.eval()
        self.agent, self.environment = self.training.agent, environment_of(self.data)
        self.senses = Senses(self.data.preprocess, self.environment)
        self.players = self._players()
        count = len(self.players)
        self.batch_size = 1  # a step adds one action, and this says how many examples it adds
        self.steps_per_epoch = -(-self.agent.epoch_steps // count) * count
        self._callback = Callback()
        self.random = np.random.default_rng(self.training.seed)
        self.sums = Sums()
        self._block = max(count, self.steps_per_epoch // POINTS)

    # What each kind of agent adds.

    def _side_by_side(self) -> int:
        """In how many environments it acts."""
        return 1

    def _act(self) -> None:
        """Take one step in each environment, and learn where it is time to."""
        raise NotImplementedError

    def loss(self, steps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """What is lowered, and what else is told of it by name, from steps as `replay_buffer` has
        them."""
        raise NotImplementedError

    def _own_state(self) -> dict[str, torch.Tensor]:
        """What the agent remembers, as tensors."""
        return {}

    def _restore_own(self, state: dict[str, torch.Tensor]) -> None:
        """Remember what `_own_state` told."""

    # The loop's interface.

    def fit(self, callback: Callback) -> bool:
        """Act and learn to the end; with no epochs, try out the weights as they are.

        Returns false where `callback` stopped it.

        Raises:
            TrainingError: the loss is no number any more.
        """
        self._callback = callback
        if self.training.epochs == 0 and not self.best.weights:
            self._try_out(callback)
            callback.on_epoch_end(self)
        while not self._done():
            end = self.steps_per_epoch * (self.epoch + 1)
            while self.step < end:
                before = self.step
                self._act()
                if self.step // self._block > before // self._block:
                    self._record()
                if self.step < end and not callback.should_continue(self):
                    return False
            self._finish_epoch(callback)
            if not self._done() and not callback.should_continue(self):
                return False
        return True

    @property
    def monitor(self) -> str:
        # Documents may ask for what is told of steps alone.
        return self.training.monitor if self.training.monitor in MEASURED else "loss"

    def flush(self, callback: Callback) -> None:
        """Nothing waits to be recorded: points are taken at set steps, and what is in the making is checkpointed."""

    def evaluate(self, split: str) -> dict[str, float]:
        """How the agent does in episodes of its own on a split's seeds; `loss` is the mean return, negative."""
        with self.averaged():
            episodes = play(self._answers, self.environment, self.senses, seeds_of(split, self.agent.trials))
        total = sum(episode.total for episode in episodes) / len(episodes)
        return {"loss": -total, "return": total, "length": sum(map(len, episodes)) / len(episodes)}

    def checkpoint(self) -> Checkpoint:
        """Everything needed to go on from here, in the middle of an episode as well."""
        import torch

        state = {
            **self._state(),
            "agent": json.dumps(
                {
                    "random": self.random.bit_generator.state,
                    "worlds": [player.world.state() for player in self.players],
                    "episodes": [[player.total, player.length] for player in self.players],
                    "sums": self.sums.values,
                }
            ),
        }
        seen = {"seen_now": torch.from_numpy(np.stack([player.seen for player in self.players]))}
        return Checkpoint(dict(self.model.state_dict()), state, seen | self._own_state())

    def resume(self, checkpoint: Checkpoint, best: dict[str, Any] | None = None) -> None:
        """Go back to where `checkpoint` was taken; `best` are the best weights that were kept beside it."""
        super().resume(checkpoint, best)
        memory = dict(checkpoint.memory)
        told = json.loads(checkpoint.state["agent"])
        self.random.bit_generator.state = told["random"]
        self.sums.values = told["sums"]
        seen = memory.pop("seen_now").numpy()
        for place, player in enumerate(self.players):
            player.world.restore(told["worlds"][place])
            player.total, player.length = told["episodes"][place]
            player.seen = seen[place].copy()
        self._restore_own(memory)

    # What agents are made of.

    def _players(self) -> list[Player]:
        worlds = [World(self.environment) for _ in range(self._side_by_side())]
        seeds = [self.training.seed + 1_000_003 * number for number in range(len(worlds))]
        return [Player(world, self._sense(world.reset(seed))) for world, seed in zip(worlds, seeds, strict=True)]

    def _sense(self, observation: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.senses(observation[None])[0]
        return found

    def _take_step(self, player: Player, action: int) -> tuple[float, np.ndarray, bool, bool]:
        """The reward of an action, what is seen then, whether the episode ended, and whether it is over at all.

        Where it is over the player stands at the beginning of the next.
        """
        observation, reward, ended, late = player.world.step(action)
        following = player.seen = self._sense(observation)
        player.total, player.length = player.total + reward, player.length + 1
        self.step += 1
        if ended or late:
            self.sums.add(**{"return": player.total, "length": float(player.length)})
            player.seen = self._sense(player.world.reset())
            player.total, player.length = 0.0, 0
        return reward, following, ended, ended or late

    def _answers(self, seen: np.ndarray) -> np.ndarray:
        """The scores (N, actions) of each action for what is seen, (N, F)."""
        import torch

        with torch.no_grad():
            found: np.ndarray = self._scores(torch.from_numpy(seen).to(self.device)).cpu().numpy()
        return found

    def _scores(self, seen: torch.Tensor) -> torch.Tensor:
        """The first output of the network, (N, actions)."""
        output = self._call_with(self.model, seen)
        first: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return first

    def _call_with(self, model: nn.Module, seen: torch.Tensor) -> Any:
        """The answer of a network, every Input of which reads what is seen, (N, F)."""
        return self._precision.call(model, [seen] * len(self.fields))

    def _learn_from(self, steps: dict[str, torch.Tensor]) -> torch.Tensor:
        """One step of the optimizer on these steps of the agent. Returns the loss."""
        loss, told = self.loss(steps)
        self.optimizer.zero_grad(set_to_none=True)
        self._precision.backward(self._with_auxiliary(loss))
        clips = self.training.gradient_clip is not None or self.training.gradient_clip_value is not None
        self._precision.step(self.optimizer, self._clip if clips else None)
        if self._average is not None:
            self._average.update()
        self.sums.add(**{self.objective.lowered: loss.item()}, **{name: value.item() for name, value in told.items()})
        return loss.detach()

    def _learn_now(self, steps: dict[str, torch.Tensor]) -> None:
        """The same at the learning rate of this step, with whoever watches looking on."""
        self._set_rate()
        self._callback.learn(self._learn_from, steps)

    def _record(self) -> None:
        """The means since the last point.

        Raises:
            DivergedError: the loss is no number any more.
        """
        values = self.sums.take()
        loss = values.get(self.objective.lowered, 0.0)
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}).",
                f"Lower the learning rate from {self.learning_rate:g}, or clip the gradient.",
            )
        self._callback.log_metrics(self.step, self.epoch, "train", values)

    def _finish_epoch(self, callback: Callback) -> None:
        better = self._try_out(callback)
        self._since_best = 0 if better else self._since_best + 1
        self.epoch += 1
        callback.on_epoch_end(self)

    def _try_out(self, callback: Callback) -> bool:
        """Record how the agent does. Returns whether it does better than ever; of equals, the last weights are kept."""
        found = self.evaluate("validation")
        callback.log_metrics(self.step, self.epoch, "validation", found)
        if self.step:
            self.schedule.on_epoch_end(found["loss"])
        value, known = self._sign * found[self.monitor], self._sign * self.best.value
        if value <= known:
            with self.averaged():
                copy = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.best = Best(self._sign * value, self.epoch, self.step, copy)
        return value < known


def environment_of(data: Prepared) -> Environment:
    """The environment that data stands for.

    Raises:
        TrainingError: it stands for none.
    """
    raw = data.raw
    if not isinstance(raw, Episodes) or raw.environment is None:
        raise TrainingError(
            "An agent learns by acting in an environment, and this data is none; choose one such as CartPole."
        )
    return raw.environment
