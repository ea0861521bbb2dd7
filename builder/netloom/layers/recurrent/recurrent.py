"""Recurrent layers, and cells that compute one step of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from netloom.layers.channels import Channels, Read, TensorAxis, Width
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Literals, Port, TensorSpec

# "hard_sigmoid" has the slope 1/6 of PyTorch and Keras 3, "hard_sigmoid_0.2" the slope of ONNX and earlier Keras.
Activation = Literal[
    "tanh",
    "relu",
    "sigmoid",
    "hard_sigmoid",
    "hard_sigmoid_0.2",
    "elu",
    "softsign",
    "softplus",
    "silu",
    "gelu",
    "linear",
]

# The shape of the states of all layers and directions
_STATES = "(N, layers · directions · H)"


class _Recurrent(Layer):
    steps_in_turn = True

    hidden_size: int = Field(64, ge=1, le=65_536, description="Size of the hidden state")
    layers: int = Field(1, ge=1, le=64, description="Number of stacked layers")
    bidirectional: bool = Field(False, description="Read the sequence in both directions")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability between stacked layers in training")
    bias: bool = Field(True, description="Add learned biases")
    initial_state: bool = Field(False, description="Begin with a state from another layer instead of zeros")
    final_states: bool = Field(False, description="Also return the final states of all layers and directions")

    # The number of parts of the rows of each weight: one for each gate
    gates: ClassVar[int] = 1

    # The ports of the initial and final states of each kind
    initial: ClassVar[tuple[Port, ...]] = (Port("initial_state", ("vector",), f"Initial hidden state, {_STATES}"),)
    final: ClassVar[tuple[Port, ...]] = (Port("states", ("vector",), f"Final hidden states, {_STATES}"),)

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = {"in": SAMPLES["sequence"]}
        stacked = {"hidden_size": 6, "layers": 2, "bidirectional": True}
        states = {port.name: TensorSpec((None, 4 * 6)) for port in cls.initial}
        params = {**stacked, "bias": False, "initial_state": True, "final_states": True}
        return [Example(inputs=sequence), Example(stacked, sequence), Example(params, {**sequence, **states})]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"), *(self.initial if self.initial_state else ()))

    def outputs(self) -> tuple[Port, ...]:
        return (
            Port("out", ("sequence",), "Hidden state at every step, (N, T, H)"),
            Port("state", ("vector",), "Last hidden state, (N, H)"),
            *(self.final if self.final_states else ()),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        # PyTorch only warns and applies no dropout.
        if self.dropout and self.layers == 1:
            raise ValueError("dropout acts between stacked layers; set layers to 2 or more, or dropout to 0")
        count, directions = self.layers * (1 + self.bidirectional), 1 + self.bidirectional
        for port in self.inputs()[1:]:
            if specs[port.name].size(1) != count * self.hidden_size:
                raise ValueError(
                    f"{port.name} {specs[port.name]} should have layers × directions × hidden_size = {self.layers} × "
                    f"{directions} × {self.hidden_size} = {count * self.hidden_size} features"
                )
        optional = {"bidirectional": self.bidirectional, "dropout": self.dropout, "final_states": self.final_states}
        kwargs: dict[str, Literals] = {key: value for key, value in optional.items() if value}
        kwargs |= {} if self.bias else {"bias": False}
        stacked = {"num_layers": self.layers} if self.layers > 1 else {}
        args = (specs["in"].size(2), self.hidden_size)
        return Call(self._module(), args, {**stacked, "batch_first": True, **kwargs, **self._unusual()})

    def _module(self) -> str:
        name = type(self).__name__
        if self._steps_in_python():
            return f"Stepped{name}"
        # Not torch.nn itself: these subclasses return a last state (N, H) instead of (layers · directions, N, H).
        return f"{name}WithStates" if self.initial_state or self.final_states else name

    def _unusual(self) -> dict[str, Literals]:
        """The settings of activations that differ from PyTorch's defaults."""
        return {}

    def _steps_in_python(self) -> bool:
        """Whether PyTorch has no fused layer with these settings."""
        return bool(self._unusual())

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        reads = (Read(-1, tuple(TensorAxis(f"weight_ih_l0{name}", 1) for name in self._directions)),)
        if self.initial_state or self.final_states:
            return Channels(reads)  # the states of all layers and directions are one tensor
        return Channels(reads, tuple(self._width(layer) for layer in range(self.layers)))

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _width(self, layer: int) -> Width:
        """The units of one of the stacked layers; a unit of both directions counts once."""
        suffixes, is_last = [f"_l{layer}{name}" for name in self._directions], layer == self.layers - 1
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.bias else ()))
        rows = tuple(TensorAxis(f"{name}{suffix}", tiles=self.gates) for name in names for suffix in suffixes)
        readers = [TensorAxis(f"weight_hh{suffix}", 1) for suffix in suffixes]
        if not is_last:
            above = (f"weight_ih_l{layer + 1}{name}" for name in self._directions)
            readers += [TensorAxis(name, 1, tiles=len(suffixes)) for name in above]
        outputs = {"out": -1, "state": -1} if is_last else {}
        return Width("hidden_size", self.hidden_size, rows, outputs, tuple(readers), copies=len(suffixes))

    def brief(self) -> str:
        times = f" × {self.layers}" if self.layers > 1 else ""
        return f"{self.hidden_size} units{times}{', bidirectional' if self.bidirectional else ''}"


class _Gated(_Recurrent):
    activation: Activation = Field(
        "tanh", description="Activation of the state; with another one than tanh, steps are computed in Python, slower"
    )
    gate_activation: Activation = Field(
        "sigmoid",
        description="Activation of the gates; with another one than sigmoid, steps are computed in Python, slower",
    )

    @classmethod
    def examples(cls) -> list[Example]:
        params = {"hidden_size": 5, "activation": "relu", "gate_activation": "hard_sigmoid", "bidirectional": True}
        return [*super().examples(), Example(params, {"in": SAMPLES["sequence"]})]

    def _unusual(self) -> dict[str, Literals]:
        chosen = {"activation": self.activation, "gate_activation": self.gate_activation}
        defaults = {"activation": "tanh", "gate_activation": "sigmoid"}
        return {name: value for name, value in chosen.items() if value != defaults[name]}


class LSTM(_Gated):
    """(N, T, D) -> out (N, T, H), state (N, H); 2·H features if bidirectional."""

    group = "Recurrent"
    title = "LSTM"
    summary = "Long short-term memory: a recurrent network with a gated memory cell"
    keywords = ("rnn", "recurrent", "memory", "sequence", "text", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html"
    is_common = True
    gates = 4

    initial = (*_Recurrent.initial, Port("initial_memory", ("vector",), f"Initial memory cell, {_STATES}"))
    final = (*_Recurrent.final, Port("memories", ("vector",), f"Final memory cells, {_STATES}"))


class GRU(_Gated):
    """(N, T, D) -> out (N, T, H), state (N, H); 2·H features if bidirectional."""

    group = "Recurrent"
    title = "GRU"
    summary = "Gated recurrent unit: a recurrent network with fewer gates than an LSTM"
    keywords = ("rnn", "recurrent", "memory", "sequence", "text", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html"
    is_common = True
    gates = 3

    reset_after: bool = Field(
        True, description="Reset the state after its product with the weights; before it, steps are computed in Python"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        params = {"hidden_size": 5, "layers": 2, "reset_after": False}
        return [*super().examples(), Example(params, {"in": SAMPLES["sequence"]})]

    def _unusual(self) -> dict[str, Literals]:
        return {**super()._unusual(), **({} if self.reset_after else {"reset_after": False})}


class RNN(_Recurrent):
    """h = tanh(W·x + U·h + b) at every step: (N, T, D) -> out (N, T, H), state (N, H).

    2·H features if bidirectional.
    """

    group = "Recurrent"
    title = "RNN"
    summary = "A simple recurrent network (Elman): each step combines the input with the hidden state"
    keywords = ("recurrent", "elman", "vanilla", "sequence", "series")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html"

    nonlinearity: Activation = Field(
        "tanh", description="Activation of the hidden state; all but tanh and relu are computed step by step in Python"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        params = {"hidden_size": 5, "nonlinearity": "sigmoid", "bidirectional": True}
        return [*super().examples(), Example(params, {"in": SAMPLES["sequence"]})]

    def _unusual(self) -> dict[str, Literals]:
        return {} if self.nonlinearity == "tanh" else {"nonlinearity": self.nonlinearity}

    def _steps_in_python(self) -> bool:
        return self.nonlinearity not in ("tanh", "relu")


class _Cell(Layer):
    bias: bool = Field(True, description="Add learned biases")

    @classmethod
    def examples(cls) -> list[Example]:
        ports = cls.model_validate({}).inputs()
        inputs = {port.name: TensorSpec((None, 10)) for port in ports} | {"in": SAMPLES["vector"]}
        return [Example(inputs=inputs), Example({"bias": False}, inputs)]

    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("in", ("vector",), "Input of this step, (N, D)"),
            Port("state", ("vector",), "Previous hidden state, (N, H)"),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",), "New hidden state, (N, H)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        args = (specs["in"].size(1), specs["state"].size(1))
        return Call(f"nn.{type(self).__name__}", args, {} if self.bias else {"bias": False})


class RNNCell(_Cell):
    """h' = tanh(W·x + U·h + b), (N, D), (N, H) -> (N, H); H is the width of the state."""

    group = "Recurrent"
    title = "RNN cell"
    summary = "One step of a simple recurrent network"
    keywords = ("recurrent", "elman", "step", "state")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html"

    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description="Activation of the new hidden state")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        call = super().build(specs)
        extra = {} if self.nonlinearity == "tanh" else {"nonlinearity": self.nonlinearity}
        return Call(call.target, call.args, {**call.kwargs, **extra})


class GRUCell(_Cell):
    """(N, D), (N, H) -> (N, H); H is the width of the state."""

    group = "Recurrent"
    title = "GRU cell"
    summary = "One step of a GRU"
    keywords = ("recurrent", "gate", "step", "state")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html"


class LSTMCell(_Cell):
    """(N, D), (N, H), (N, H) -> (N, H), (N, H); H is the width of the state."""

    group = "Recurrent"
    title = "LSTM cell"
    summary = "One step of an LSTM, with a hidden state and a memory cell"
    keywords = ("recurrent", "gate", "step", "state", "memory")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html"

    def inputs(self) -> tuple[Port, ...]:
        return (*super().inputs(), Port("memory", ("vector",), "Previous memory cell, (N, H)"))

    def outputs(self) -> tuple[Port, ...]:
        return (*super().outputs(), Port("new_memory", ("vector",), "New memory cell, (N, H)"))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["state"].shape != specs["memory"].shape:
            raise ValueError(f"state {specs['state']} and memory {specs['memory']} must have the same shape")
        args = (specs["in"].size(1), specs["state"].size(1))
        # torch.nn.LSTMCell takes and returns a tuple (h, c), but each port carries one tensor.
        return Call("LSTMCell", args, {} if self.bias else {"bias": False})
