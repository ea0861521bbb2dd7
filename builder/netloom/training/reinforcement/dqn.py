"""Deep Q-learning (DQN): the network learns the value of each action from a replay buffer, with targets of the Bellman
equation.

https://www.nature.com/articles/nature14236, with the double estimator of https://arxiv.org/abs/1509.06461.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from netloom.training.reinforcement.replay_buffer import ReplayBuffer
from netloom.training.reinforcement.returns import bellman_targets
from netloom.training.reinforcement.trainer import ReinforcementTrainer

if TYPE_CHECKING:
    import torch

_TARGET, _MEMORY = "target.", "memory."


class DQNTrainer(ReinforcementTrainer):
    """Trains with one environment, a replay buffer, and a target network that is updated periodically."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.memory = ReplayBuffer(self.agent.buffer_size, self.senses.width)
        self.target = deepcopy(self.model).requires_grad_(False)

    def epsilon(self) -> float:
        """The share of random actions at this step: it decreases linearly, then stays constant."""
        agent = self.agent
        done = min(1.0, self.step / (agent.exploration_fraction * self.total_steps))
        return agent.epsilon_start + (agent.epsilon_end - agent.epsilon_start) * done

    def _act(self) -> None:
        player, agent, epsilon = self.players[0], self.agent, self.epsilon()
        observation = player.observation
        if self.random.random() < epsilon:
            action = int(self.random.integers(len(self.environment.actions)))
        else:
            action = int(self.action_scores(observation[None])[0].argmax())
        reward, following, ended, over = self._take_step(player, action)
        self.memory.add(observation, action, reward, following, ended, over)
        self.sums.add(epsilon=epsilon)
        if self.step >= agent.learning_starts and self.step % agent.train_frequency == 0:
            self.model.train()  # for updates only: the agent acts without dropout
            for _ in range(agent.gradient_steps):
                self._learn_batch()
            self.model.eval()
        if self.step % agent.target_update_interval == 0:
            self.target.load_state_dict(self.model.state_dict())

    def _learn_batch(self) -> None:
        rows = self.random.integers(0, len(self.memory), self.training.batch_size)
        self._learn_from({name: value.to(self.device) for name, value in self.memory.take(rows).items()})

    def loss(self, steps: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the Huber loss between the values of the actions taken and their Bellman targets."""
        import torch
        from torch.nn import functional

        with torch.no_grad():
            following = self._call_with(self.target, steps["following"])  # values of the next actions, (N, actions)
            # The network chooses the next action and the target network evaluates it. With one network for both, the
            # maximum over noisy values would overestimate the true one: https://arxiv.org/abs/1509.06461.
            chooser = self._scores(steps["following"]) if self.agent.double else following
            targets = bellman_targets(
                steps["reward"], steps["ended"], following, chooser.argmax(1), self.agent.discount
            )
        values = self._scores(steps["seen"]).gather(1, steps["action"].unsqueeze(1)).squeeze(1)
        # Beyond an error of 1, the Huber loss has a constant gradient: the paper clips the error to [−1, 1].
        return functional.smooth_l1_loss(values, targets), {}

    def _algorithm_state(self) -> dict[str, torch.Tensor]:
        target = {_TARGET + name: value for name, value in self.target.state_dict().items()}
        return target | {_MEMORY + name: value for name, value in self.memory.state_dict().items()}

    def _restore_algorithm(self, state: dict[str, torch.Tensor]) -> None:
        self.target.load_state_dict(_part(state, _TARGET))
        self.memory.load_state_dict(_part(state, _MEMORY))


def _part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
