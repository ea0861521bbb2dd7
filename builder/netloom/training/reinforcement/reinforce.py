"""REINFORCE: raises the probability of actions with a high return, https://doi.org/10.1007/BF00992696."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.training.reinforcement.policy import PolicyTrainer, log_probabilities, standardize
from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.returns import returns

if TYPE_CHECKING:
    import torch


class ReinforceTrainer(PolicyTrainer):
    """Trains with one environment: an optimizer step on all collected steps, at the end of an episode."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # An episode that begins just before `rollout_steps` steps are collected is stored to its end.
        self.memory = ReplayBuffer(self.agent.rollout_steps + self.players[0].world.limit, self.senses.width)

    def _act(self) -> None:
        over = self._gather()
        if over and len(self.memory) >= self.agent.rollout_steps:
            steps = self.memory.take(slice(0, len(self.memory)))
            self.model.train()
            self._learn_from({name: value.to(self.device) for name, value in steps.items()})
            self.model.eval()
            self.memory.forget()

    def loss(self, steps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """−Σ log π(a|s) Â / T − β H, and H, over T steps; Â is the discounted return, standardized over all steps."""
        discounted_returns = returns(steps["reward"].cpu(), steps["over"].cpu(), self.agent.discount).to(self.device)
        logs, entropies = log_probabilities(self._scores(steps["seen"]), steps["action"])
        entropy = entropies.mean()
        gained = (logs * standardize(discounted_returns)).mean()
        return -gained - self.agent.entropy_weight * entropy, {"entropy": entropy}
