"""Recurrent modules that return the sequence and the last state, (N, T, D) -> (N, T, H), (N, H), and single steps."""

import torch
from torch import nn


class LSTM(nn.LSTM):
    """Long short-term memory; the state is the last hidden state of the top layer, directions concatenated.

    https://www.bioinf.jku.at/publications/older/2604.pdf
    """

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        sequence, (hidden, _) = super().forward(x)
        return sequence, hidden[-2 if self.bidirectional else -1 :].transpose(0, 1).flatten(1)


class GRU(nn.GRU):
    """Gated recurrent unit; the state is the last hidden state of the top layer, directions concatenated.

    https://arxiv.org/abs/1406.1078
    """

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        sequence, hidden = super().forward(x)
        return sequence, hidden[-2 if self.bidirectional else -1 :].transpose(0, 1).flatten(1)


class RNN(nn.RNN):
    """A plain recurrent network; the state is the last hidden state of the top layer, directions concatenated.

    https://doi.org/10.1207/s15516709cog1402_1
    """

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        sequence, hidden = super().forward(x)
        return sequence, hidden[-2 if self.bidirectional else -1 :].transpose(0, 1).flatten(1)


def by_layer(module: nn.RNNBase, state: torch.Tensor) -> torch.Tensor:
    """A state (N, S · H) of S = layers · directions in the order of torch.nn, (S, N, H)."""
    count = module.num_layers * (2 if module.bidirectional else 1)
    return state.reshape(-1, count, module.hidden_size).transpose(0, 1).contiguous()


def by_example(state: torch.Tensor) -> torch.Tensor:
    """The reverse of `by_layer`: (S, N, H) -> (N, S · H)."""
    return state.transpose(0, 1).flatten(1)


class LSTMWithStates(nn.LSTM):
    """An LSTM with initial and final states (N, layers · directions · H) of all layers and directions.

    Without an initial state it begins with zeros; `final_states` appends the final states to the outputs.
    """

    def __init__(self, input_size: int, hidden_size: int, final_states: bool = False, **options: bool | float) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.final_states = final_states

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, state: torch.Tensor | None = None, memory: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        start = None if state is None or memory is None else (by_layer(self, state), by_layer(self, memory))
        sequence, (hidden, cells) = super().forward(x, start)
        last = by_example(hidden[-2 if self.bidirectional else -1 :])
        return (sequence, last, by_example(hidden), by_example(cells)) if self.final_states else (sequence, last)


class GRUWithStates(nn.GRU):
    """A GRU with initial and final states (N, layers · directions · H) of all layers and directions.

    Without an initial state it begins with zeros; `final_states` appends the final states to the outputs.
    """

    def __init__(self, input_size: int, hidden_size: int, final_states: bool = False, **options: bool | float) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.final_states = final_states

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        sequence, hidden = super().forward(x, None if state is None else by_layer(self, state))
        last = by_example(hidden[-2 if self.bidirectional else -1 :])
        return (sequence, last, by_example(hidden)) if self.final_states else (sequence, last)


class RNNWithStates(nn.RNN):
    """An RNN with initial and final states (N, layers · directions · H) of all layers and directions.

    Without an initial state it begins with zeros; `final_states` appends the final states to the outputs.
    """

    def __init__(self, input_size: int, hidden_size: int, final_states: bool = False, **options: bool | float) -> None:
        super().__init__(input_size, hidden_size, **options)
        self.final_states = final_states

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        sequence, hidden = super().forward(x, None if state is None else by_layer(self, state))
        last = by_example(hidden[-2 if self.bidirectional else -1 :])
        return (sequence, last, by_example(hidden)) if self.final_states else (sequence, last)


class LSTMCell(nn.LSTMCell):
    """One step of a long short-term memory: input (N, D), state (N, H), memory (N, H) -> new state, new memory."""

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, state: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x, (state, memory))
