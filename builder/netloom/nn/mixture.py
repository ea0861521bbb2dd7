"""Mixtures of experts: a router sends each step to a few of many feed-forward networks."""

import math

import torch
from torch import nn

from netloom.nn.transformer import FeedForward


class Experts(nn.Module):
    """Feed-forward networks with separate weights, one per expert, (experts, steps, D) -> (experts, steps, D).

    `activation` is an activation of `FeedForward`, or "swiglu" or "geglu" for gated networks
    (https://arxiv.org/abs/2002.05202).
    """

    def __init__(
        self, experts: int, dim: int, hidden: int, activation: str = "gelu", bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        gated = {"swiglu": "silu", "geglu": "gelu"}
        self.gated = activation in gated
        self.activation = FeedForward.build_activation(gated.get(activation, activation))
        self.dropout = nn.Dropout(dropout)
        wide = 2 * hidden if self.gated else hidden  # gate and value in one product
        # The bounds 1 / √(input features) are those of nn.Linear, whose weights cannot be batched over experts.
        self.up = nn.Parameter(torch.empty(experts, dim, wide).uniform_(-(dim**-0.5), dim**-0.5))
        self.down = nn.Parameter(torch.empty(experts, hidden, dim).uniform_(-(hidden**-0.5), hidden**-0.5))
        self.up_bias = nn.Parameter(torch.zeros(experts, 1, wide)) if bias else None
        self.down_bias = nn.Parameter(torch.zeros(experts, 1, dim)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = x @ self.up  # (experts, steps, hidden), twice as wide if gated
        if self.up_bias is not None:
            middle = middle + self.up_bias
        if self.gated:
            gate, value = middle.chunk(2, dim=-1)
            middle = self.activation(gate) * value
        else:
            middle = self.activation(middle)
        out: torch.Tensor = self.dropout(middle) @ self.down
        return out if self.down_bias is None else out + self.down_bias


class MixtureOfExperts(nn.Module):
    """The weighted sum of the `top` experts that a router chooses for each step, (N, …, D) -> (N, …, D).

    The weights are the router's probabilities, normalized to a sum of 1 if `top` is larger than 1. Every expert
    computes every step, and unchosen results have the weight 0. With a `capacity`, an expert computes in training at
    most `capacity` times its even share of the steps; further requests are dropped, second choices before first ones.
    In training, each forward stores the load-balancing loss, times `balance`, in `auxiliary_loss`.
    https://arxiv.org/abs/2101.03961
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        experts: int = 8,
        top: int = 2,
        activation: str = "gelu",
        bias: bool = True,
        dropout: float = 0.0,
        balance: float = 0.01,
        capacity: float | None = None,
    ) -> None:
        super().__init__()
        if top > experts:
            raise ValueError(f"a step cannot use {top} of {experts} experts; lower top or raise experts")
        self.top, self.balance, self.capacity = top, balance, capacity
        self.router = nn.Linear(dim, experts, bias=False)
        self.softmax = nn.Softmax(dim=-1)
        self.experts = Experts(experts, dim, hidden, activation, bias, dropout)
        self.auxiliary_loss: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = x.flatten(0, -2)  # (S, D)
        chances = self.softmax(self.router(steps))  # (S, experts)
        gates, chosen = chances.topk(self.top, dim=-1)  # (S, top)
        # A single gate is not normalized: it would be 1, and the output would give the router no gradient.
        if self.top > 1:
            gates = gates / gates.sum(dim=-1, keepdim=True)
        self.auxiliary_loss = self.imbalance(chances, chosen) if self.training else None
        if self.training and self.capacity is not None:
            out = self.dispatch(steps, gates, chosen, self.capacity)
        else:
            shares = torch.zeros_like(chances).scatter(1, chosen, gates)
            out = (self.experts(steps.unsqueeze(0)) * shares.transpose(0, 1).unsqueeze(2)).sum(dim=0)
        return out.view_as(x)

    def imbalance(self, chances: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """balance · experts · Σ (fraction of steps · mean probability), a scalar; minimal for an even load."""
        shares = torch.zeros_like(chances).scatter(1, chosen, 1.0).mean(dim=0) / self.top
        return self.balance * chances.shape[1] * (shares * chances.mean(dim=0)).sum()

    def dispatch(self, steps: torch.Tensor, gates: torch.Tensor, chosen: torch.Tensor, capacity: float) -> torch.Tensor:
        """The output (S, D) where each expert computes at most `places` steps; a dropped request contributes zero."""
        count, experts = steps.shape[0], self.router.out_features
        slots = min(count, math.ceil(capacity * count * self.top / experts))
        requests = chosen.transpose(0, 1).flatten()  # (top · S,): all first choices, then all second ones
        zeros = torch.zeros(len(requests), experts, dtype=torch.long, device=steps.device)
        # (top · S, experts): how many requests for each expert there are up to each request
        queue = zeros.scatter(1, requests.unsqueeze(1), 1).cumsum(dim=0)
        rank = queue.gather(1, requests.unsqueeze(1)).squeeze(1) - 1  # position in the queue of the expert, from 0
        # All dropped requests share one extra slot at the end, whose output is zero.
        slot = torch.where(rank < slots, requests * slots + rank, torch.full_like(rank, experts * slots))
        # Experts compute all of their slots. Unused ones hold step 0, and no request reads their output.
        steps_of_slots = torch.arange(count, device=steps.device).repeat(self.top)
        holder = torch.zeros(experts * slots + 1, dtype=torch.long, device=steps.device).scatter(
            0, slot, steps_of_slots
        )
        computed = self.experts(steps[holder[:-1]].view(experts, slots, -1)).flatten(0, 1)
        outputs = torch.cat((computed, torch.zeros_like(computed[:1])))[slot].view(self.top, count, -1)
        out: torch.Tensor = (outputs * gates.transpose(0, 1).unsqueeze(2)).sum(dim=0)
        return out

    def __getstate__(self) -> dict[str, object]:
        """The state without the loss of the last forward, whose autograd graph prevents a deep copy."""
        return {**self.__dict__, "auxiliary_loss": None}
