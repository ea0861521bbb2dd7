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


class LSTMCell(nn.LSTMCell):
    """One step of a long short-term memory: input (N, D), state (N, H), memory (N, H) -> new state, new memory."""

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, state: torch.Tensor, memory: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x, (state, memory))
