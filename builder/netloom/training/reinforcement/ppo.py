"""Proximal policy optimization (PPO): several passes over each batch of steps with limited policy changes.

https://arxiv.org/abs/1707.06347. The network has two outputs: the logits of the actions, and the value of the
observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.training.reinforcement.policy import PolicyTrainer, log_probabilities, standardize
from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.returns import advantages

if TYPE_CHECKING:
    import torch

Steps = dict[str, "torch.Tensor"]


class PPOTrainer(PolicyTrainer):
    """Several environments side by side."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        count = len(self.players)
        # Rounded up to a multiple of the environments, so that each of them has the same number of steps
        self.memory = ReplayBuffer(-(-self.agent.rollout_steps // count) * count, self.senses.width)

    def _side_by_side(self) -> int:
        return self.agent.environments

    def _act(self) -> None:
        self._gather()
        if self.memory.written < self.memory.capacity:
            return
        steps = {name: value.to(self.device) for name, value in self.memory.take(slice(None)).items()}
        steps |= self._looked_back(steps)
        self.model.train()
        for _ in range(self.agent.update_epochs):
            self._pass(steps)
        self.model.eval()
        self.memory.forget()

    def _looked_back(self, steps: Steps) -> Steps:
        """Return the log probability, the advantage and the value target of each step."""
        import torch

        agent, width = self.agent, len(self.players)
        with torch.no_grad():
            scores, values = self._both(steps["seen"])
            following = self._both(steps["following"])[1]
            logs, _ = log_probabilities(scores, steps["action"])
        side = {
            "rewards": steps["reward"],
            "values": values,
            "following": following,
            "ended": steps["ended"],
            "over": steps["over"],
        }
        # Each round wrote one step per environment: (T·N,) -> (T, N)
        table = {name: value.cpu().reshape(-1, width) for name, value in side.items()}
        better = advantages(**table, discount=agent.discount, gae_lambda=agent.gae_lambda).flatten().to(self.device)
        return {"logs": logs, "advantage": better, "wanted": better + values}  # Â + V estimates the return

    def _pass(self, steps: Steps) -> None:
        """Run one pass over all steps in random order."""
        order = self.random.permutation(len(steps["action"]))
        size = self.training.batch_size
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            self._learn_from({name: value[rows] for name, value in steps.items()})

    def loss(self, steps: Steps) -> tuple[torch.Tensor, Steps]:
        """−min(ρ Â, clip(ρ) Â) + c (V − R)² / 2 − β H, and H, each averaged; ρ is the probability ratio of the new
        and the old policy."""
        import torch

        agent = self.agent
        scores, values = self._both(steps["seen"])
        logs, entropies = log_probabilities(scores, steps["action"])
        ratio, better = (logs - steps["logs"]).exp(), standardize(steps["advantage"])
        gained = torch.minimum(ratio * better, ratio.clamp(1 - agent.clip_range, 1 + agent.clip_range) * better).mean()
        off = 0.5 * (values - steps["wanted"]).square().mean()
        entropy = entropies.mean()
        return -gained + agent.value_weight * off - agent.entropy_weight * entropy, {"entropy": entropy}

    def _both(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits (N, actions) and the values (N,)."""
        scores, values = self._call_with(self.model, observations)
        return scores, values.squeeze(1)
