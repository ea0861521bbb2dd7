"""Returns, advantages and Bellman targets as functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def returns(rewards: torch.Tensor, over: torch.Tensor, discount: float) -> torch.Tensor:
    """Return the discounted return Σ γᵏ r of each step, (T,); `over` marks the last step of each episode."""
    import torch

    discounted, ahead = torch.empty_like(rewards), torch.zeros((), dtype=rewards.dtype)
    for index in range(len(rewards) - 1, -1, -1):
        ahead = rewards[index] + discount * ahead * (~over[index])
        discounted[index] = ahead
    return discounted


def advantages(
    rewards: torch.Tensor,
    values: torch.Tensor,
    following: torch.Tensor,
    ended: torch.Tensor,
    over: torch.Tensor,
    discount: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Return generalized advantage estimates Σ (γλ)ᵏ δ, (T, N), with δ = r + γ V(s') − V(s),
    https://arxiv.org/abs/1506.02438.

    All arguments are (T, N): `values` of the observations, `following` of the next ones. The value after `ended` is
    ignored; `over` marks the last step of an episode, also at its time limit. An episode cut off there could have
    continued, so the value of its last observation counts: https://arxiv.org/abs/1712.00378.
    """
    import torch

    surprise = rewards + discount * following * (~ended) - values
    estimates, ahead = torch.empty_like(rewards), torch.zeros_like(rewards[0])
    for index in range(len(rewards) - 1, -1, -1):
        ahead = surprise[index] + discount * gae_lambda * ahead * (~over[index])
        estimates[index] = ahead
    return estimates


def bellman_targets(
    rewards: torch.Tensor, ended: torch.Tensor, following: torch.Tensor, chosen: torch.Tensor, discount: float
) -> torch.Tensor:
    """Return Bellman targets r + γ Q(s', a'), (B,): `following` (B, A) are the values of s', `chosen` (B,) the
    actions a'."""
    best = following.gather(1, chosen.unsqueeze(1)).squeeze(1)
    return rewards + discount * best * (~ended)
