"""Mixtures of experts: a router sends each step to a few of many feed-forward pairs."""

import math

import torch
from torch import nn

from netloom.nn.transformer import FeedForward


class Experts(nn.Module):
    """Feed-forward pairs side by side, each with weights of its own, (experts, steps, D) -> (experts, steps, D).

    `activation` is that of `FeedForward`, or "swiglu" or "geglu" for a gated pair.
    """

    def __init__(
        self, experts: int, dim: int, hidden: int, activation: str = "gelu", bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        gated = {"swiglu": "silu", "geglu": "gelu"}
        self.gated = activation in gated
        self.activation = FeedForward.build_activation(gated.get(activation, activation))
        self.dropout = nn.Dropout(dropout)
        wide = 2 * hidden if self.gated else hidden
        self.up = nn.Parameter(torch.empty(experts, dim, wide).uniform_(-(dim**-0.5), dim**-0.5))
        self.down = nn.Parameter(torch.empty(experts, hidden, dim).uniform_(-(hidden**-0.5), hidden**-0.5))
        self.up_bias = nn.Parameter(torch.zeros(experts, 1, wide)) if bias else None
        self.down_bias = nn.Parameter(torch.zeros(experts, 1, dim)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = x @ self.up
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
    """Each step goes to the `top` experts that a router chooses, and gets their weighted sum, (N, …, D) -> (N, …, D).

    The weights are the router's probabilities, made to sum to 1 where there are several. Each expert computes every
    step, and what was not chosen counts zero; with a `capacity`, in training, each takes only so many steps, `capacity`
    times an even share, and what comes later is dropped, first choices first. In training, each forward leaves in
    `auxiliary_loss` the loss that balances the experts, times `balance`. https://arxiv.org/abs/2101.03961
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
        """balance · experts · Σ (an expert's share of the steps · its mean probability); least where all are alike."""
        shares = torch.zeros_like(chances).scatter(1, chosen, 1.0).mean(dim=0) / self.top
        return self.balance * chances.shape[1] * (shares * chances.mean(dim=0)).sum()

    def dispatch(self, steps: torch.Tensor, gates: torch.Tensor, chosen: torch.Tensor, capacity: float) -> torch.Tensor:
        """Each expert computes the steps in its places alone; a step without a place gets zero from it."""
        count, experts = steps.shape[0], self.router.out_features
        places = min(count, math.ceil(capacity * count * self.top / experts))
        requests = chosen.transpose(0, 1).flatten()  # (top · S,), first choices first
        zeros = torch.zeros(len(requests), experts, dtype=torch.long, device=steps.device)
        queue = zeros.scatter(1, requests.unsqueeze(1), 1).cumsum(dim=0)
        rank = queue.gather(1, requests.unsqueeze(1)).squeeze(1) - 1
        # The last slot takes all that is dropped.
        slot = torch.where(rank < places, requests * places + rank, torch.full_like(rank, experts * places))
        steps_of_slots = torch.arange(count, device=steps.device).repeat(self.top)
        holder = torch.zeros(experts * places + 1, dtype=torch.long, device=steps.device).scatter(
            0, slot, steps_of_slots
        )
        computed = self.experts(steps[holder[:-1]].view(experts, places, -1)).flatten(0, 1)
        outputs = torch.cat((computed, torch.zeros_like(computed[:1])))[slot].view(self.top, count, -1)
        out: torch.Tensor = (outputs * gates.transpose(0, 1).unsqueeze(2)).sum(dim=0)
        return out

    def __getstate__(self) -> dict[str, object]:
        """Copies and files leave out the loss of the last forward, which holds on to its graph."""
        return {**self.__dict__, "auxiliary_loss": None}
