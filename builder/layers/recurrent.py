"""Layers that read a sequence step by step."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from builder.layers.base import Call, Layer, Port, TensorSpec


class _Recurrent(Layer):
    hidden_size: int = Field(64, ge=1, le=65_536, description="The width of the state")
    layers: int = Field(1, ge=1, le=64, description="How many are stacked")
    bidirectional: bool = Field(False, description="Read the sequence in both directions")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout between stacked layers")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (
            Port("out", ("sequence",), "The state at every step, (N, T, H)"),
            Port("state", ("vector",), "The last state, (N, H)"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.dropout and self.layers == 1:
            raise ValueError("dropout acts between stacked layers; set layers to 2 or more, or dropout to 0")
        optional = {"bidirectional": self.bidirectional, "dropout": self.dropout}
        kwargs = {key: value for key, value in optional.items() if value}
        stacked = {"num_layers": self.layers} if self.layers > 1 else {}
        args = (specs["in"].size(2), self.hidden_size)
        return Call(type(self).__name__, args, {**stacked, "batch_first": True, **kwargs})

    def brief(self) -> str:
        times = f" × {self.layers}" if self.layers > 1 else ""
        return f"{self.hidden_size} wide{times}{', both ways' if self.bidirectional else ''}"


class LSTM(_Recurrent):
    """(N, T, D) -> out (N, T, H), state (N, H); H doubles where bidirectional."""

    group = "Recurrent"
    title = "LSTM"
    summary = "Reads a sequence with a memory that gates keep"
    keywords = ("rnn", "recurrent", "memory", "sequence", "text", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html"


class GRU(_Recurrent):
    """(N, T, D) -> out (N, T, H), state (N, H); H doubles where bidirectional."""

    group = "Recurrent"
    title = "GRU"
    summary = "Reads a sequence with a lighter gated memory"
    keywords = ("rnn", "recurrent", "memory", "sequence", "text", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html"
