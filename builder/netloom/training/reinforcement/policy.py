"""The base trainer of policy gradient methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.trainer import ReinforcementTrainer

if TYPE_CHECKING:
    import torch


class PolicyTrainer(ReinforcementTrainer):
    """Collects steps with the current policy, learns from them, and discards them."""

    memory: ReplayBuffer

    def _gather(self) -> bool:
        """Collect a step in each environment. Returns whether the episode of the last one is over."""
        observations = np.stack([player.observation for player in self.players])
        actions = sample_actions(self.action_scores(observations), self.random.random(len(observations)))
        over = False
        for player, observation, action in zip(self.players, observations, actions.tolist(), strict=True):
            reward, following, ended, over = self._take_step(player, action)
            self.memory.add(observation, action, reward, following, ended, over)
        return over

    def _algorithm_state(self) -> dict[str, torch.Tensor]:
        return self.memory.state_dict()

    def _restore_algorithm(self, state: dict[str, torch.Tensor]) -> None:
        self.memory.load_state_dict(state)


def sample_actions(scores: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Sample an action for each row of logits (N, actions) by the inverse of the cumulative distribution.

    `chance` (N,) is uniform from 0 to 1. It comes from the generator of the trainer, whose state a checkpoint holds, so
    that a resumed run samples the same actions.
    """
    shares = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    bounds = shares.cumsum(1)
    actions: np.ndarray = (chance[:, None] * bounds[:, -1:] >= bounds).sum(1)
    return actions.clip(max=scores.shape[1] - 1)  # chance · sum can round up to the sum


def log_probabilities(scores: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log probability of each action (N,) and the entropy of each row (N,), from logits (N, actions)."""
    logs = scores.log_softmax(1)
    return logs.gather(1, actions.unsqueeze(1)).squeeze(1), -(logs.exp() * logs).sum(1)


def standardize(values: torch.Tensor) -> torch.Tensor:
    """Standardize values, so that the scale of rewards does not change the size of a step."""
    return (values - values.mean()) / (values.std(unbiased=False) + 1e-8)
