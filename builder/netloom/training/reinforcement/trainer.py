"""The base trainer of reinforcement learning: an agent acts, learns from its rewards, and is evaluated in episodes
after each epoch.

A step is an action in the environment; the document sets the number of steps per epoch. Curves have points at fixed
steps, and the states of all random generators, including the environment's, are in the checkpoint: a resumed run ends
with the same weights and curves as an uninterrupted one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.environment import FIELD, Senses, World
from netloom.training.callbacks import CallbackList
from netloom.training.episodes import environment_of, play, seeds_of
from netloom.training.errors import DivergedError
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights.checkpoints import Checkpoint
from netloom.training.weights.weight_files import StateDict

if TYPE_CHECKING:
    import torch
    from torch import nn


# Points of the curves per epoch.
POINTS = 20


@dataclass
class Player:
    """An environment in which the agent acts: its observation as the network receives it, and the episode so far."""

    world: World
    observation: np.ndarray
    total: float = 0.0
    length: int = 0


@dataclass
class Sums:
    """Running means by name."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **values: float) -> None:
        for name, value in values.items():
            sum_and_count = self.values.setdefault(name, [0.0, 0.0])
            sum_and_count[0] += value
            sum_and_count[1] += 1

    def take(self) -> dict[str, float]:
        """Return the means and reset them."""
        means = {name: total / count for name, (total, count) in self.values.items()}
        self.values = {}
        return means


class ReinforcementTrainer(Trainer):
    """The base class of agents. `step` counts actions over all parallel environments.

    Raises:
        TrainingError: the data is not an environment, or a setting is invalid.
    """

    prefer_later = True

    @property
    def monitored_split(self) -> str:
        """Validation: its episodes are played, not read from rows."""
        return "validation"

    def prepare_data(self) -> None:
        self.model.eval()
        self.agent, self.environment = self.training.agent, environment_of(self.data)
        self.senses = Senses(self.data.field(FIELD), self.environment)
        self.players = self._players()
        count = len(self.players)
        self.batch_size = 1  # one action per step, so that the examples seen are the number of actions
        self.steps_per_epoch = -(-self.agent.steps_per_epoch // count) * count
        self.random = np.random.default_rng(self.training.seed)
        self.sums = Sums()
        self._block = max(count, self.steps_per_epoch // POINTS)

    # What each kind of agent adds.

    def _side_by_side(self) -> int:
        """The number of parallel environments."""
        return 1

    def _act(self) -> None:
        """Take one step in each environment, and learn if an update is due."""
        raise NotImplementedError

    def loss(self, steps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the loss and further metrics by name, from steps of the `replay_buffer`."""
        raise NotImplementedError

    def _algorithm_state(self) -> dict[str, torch.Tensor]:
        """Return the state of the agent as tensors."""
        return {}

    def _restore_algorithm(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the result of `_own_state`."""

    # The interface of a trainer.

    def fit(self, *callbacks: Callback) -> bool:
        self.callbacks = CallbackList(callbacks)
        self.callbacks.on_fit_start(self)
        if self.training.epochs == 0 and not self.best.weights:
            self._evaluate_epoch()
            self.callbacks.on_epoch_end(self)
        while not self.is_done:
            self.callbacks.on_epoch_start(self)
            if not self._act_for_an_epoch():
                return False
            self.schedule.on_epoch_end(self._evaluate_epoch()["loss"])
            self.epoch += 1
            self.callbacks.on_epoch_end(self)
            if not self.is_done and not self.callbacks.should_continue(self):
                return False
        self.callbacks.on_fit_end(self)
        return True

    def _act_for_an_epoch(self) -> bool:
        """Take the remaining steps of an epoch. Returns False if a callback stopped it."""
        end = self.steps_per_epoch * (self.epoch + 1)
        while self.step < end:
            before = self.step
            self._act()
            # At fixed steps instead of times, so that a resumed run has the same points
            if self.step // self._block > before // self._block:
                self._log_means()
            if self.step < end and not self.callbacks.should_continue(self):
                return False
        return True

    def evaluate(self, split: str) -> dict[str, float]:
        """Evaluate the agent in episodes on the seeds of a split; `loss` is the negative mean return."""
        with self.averaged_weights():
            episodes = play(
                self.action_scores, self.environment, self.senses, seeds_of(split, self.agent.evaluation_episodes)
            )
        total = sum(episode.total for episode in episodes) / len(episodes)
        return {"loss": -total, "return": total, "length": sum(map(len, episodes)) / len(episodes)}

    def checkpoint(self) -> Checkpoint:
        """Return the complete state, also in the middle of an episode."""
        import torch

        observations = {"seen_now": torch.from_numpy(np.stack([player.observation for player in self.players]))}
        return replace(super().checkpoint(), memory=observations | self._algorithm_state())

    def resume(self, checkpoint: Checkpoint, best: StateDict | None = None) -> None:
        super().resume(checkpoint, best)
        memory = dict(checkpoint.memory)
        for player, observation in zip(self.players, memory.pop("seen_now").numpy(), strict=True):
            player.observation = observation.copy()
        self._restore_algorithm(memory)

    def state_dict(self) -> StateDict:
        agent = {
            "random": self.random.bit_generator.state,
            "worlds": [player.world.state() for player in self.players],
            "episodes": [[player.total, player.length] for player in self.players],
            "sums": self.sums.values,
        }
        # As text, because the state of a NumPy generator contains integers of 128 bits, too large for a tensor.
        return {**super().state_dict(), "agent": json.dumps(agent)}

    def load_state_dict(self, state: StateDict) -> None:
        super().load_state_dict(state)
        agent = json.loads(state["agent"])
        self.random.bit_generator.state = agent["random"]
        self.sums.values = agent["sums"]
        for player, world, episode in zip(self.players, agent["worlds"], agent["episodes"], strict=True):
            player.world.restore(world)
            player.total, player.length = episode

    # Acting and learning.

    def _players(self) -> list[Player]:
        worlds = [World(self.environment) for _ in range(self._side_by_side())]
        # Far apart, so that the environments of a run do not have those of a run with the next seed
        seeds = [self.training.seed + 1_000_003 * number for number in range(len(worlds))]
        return [Player(world, self._sense(world.reset(seed))) for world, seed in zip(worlds, seeds, strict=True)]

    def _sense(self, observation: np.ndarray) -> np.ndarray:
        features: np.ndarray = self.senses(observation[None])[0]
        return features

    def _take_step(self, player: Player, action: int) -> tuple[float, np.ndarray, bool, bool]:
        """Return the reward, the next observation, whether the state is terminal, and whether the episode is over.

        If it is over, the player starts the next episode.
        """
        observation, reward, ended, late = player.world.step(action)
        following = player.observation = self._sense(observation)
        player.total, player.length = player.total + reward, player.length + 1
        self.step += 1
        if ended or late:
            self.sums.add(**{"return": player.total, "length": float(player.length)})
            # `following` stays the last observation of the episode: its value is not that of the next episode's first.
            player.observation = self._sense(player.world.reset())
            player.total, player.length = 0.0, 0
        return reward, following, ended, ended or late

    def action_scores(self, observations: np.ndarray) -> np.ndarray:
        """Return the scores (N, actions) for observations (N, F)."""
        import torch

        with torch.no_grad():
            scores: np.ndarray = self._scores(torch.from_numpy(observations).to(self.device)).cpu().numpy()
        return scores

    def _scores(self, observations: torch.Tensor) -> torch.Tensor:
        """Return the first output of the network, (N, actions)."""
        output = self._call_with(self.model, observations)
        first: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return first

    def _call_with(self, model: nn.Module, observations: torch.Tensor) -> Any:
        """Return the output of a network whose Inputs all read the observations (N, F)."""
        return self.precision.forward(model, [observations] * len(self.fields))

    def _learn_from(self, steps: dict[str, torch.Tensor]) -> None:
        """Take an optimizer step on these steps of the agent: forward, loss, backward, clip, step."""
        self.set_learning_rate(self.current_learning_rate)
        self.callbacks.on_step_start(self, [], None)
        loss, terms = self.loss(steps)
        self.zero_grad()
        self.precision.backward(self.auxiliary_losses.add_to(loss))
        self.clip_gradients()
        self.precision.step(self.optimizer)
        if self.ema is not None:
            self.ema.update()
        self.sums.add(
            **{self.objective.training_loss_name: loss.item()}, **{name: value.item() for name, value in terms.items()}
        )
        self.callbacks.on_step_end(self, loss.detach())

    def _log_means(self) -> None:
        """Log the means since the last point.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        values = self.sums.take()
        loss = values.get(self.objective.training_loss_name, 0.0)
        if not math.isfinite(loss):
            raise DivergedError(
                f"The loss became {loss} by step {self.step} (epoch {self.epoch + 1}).",
                f"Lower the learning rate from {self.learning_rate:g}, or clip the gradient.",
            )
        self.callbacks.log_metrics(self.step, self.epoch, "train", values)

    def _evaluate_epoch(self) -> dict[str, float]:
        """Log the metrics of the agent, and update the best weights. Returns the metrics."""
        metrics = self.evaluate("validation")
        self.callbacks.log_metrics(self.step, self.epoch, "validation", metrics)
        with self.averaged_weights():
            self.early_stopping.update(metrics[self.monitor], self.epoch, self.step, self.model)
        return metrics
