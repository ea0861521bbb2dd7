"""State space layers, which process long sequences by linear recurrences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from netloom.layers.attention.attention import changed_options
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec


class _StateSpace(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)


class _Diagonal(_StateSpace):
    state: int = Field(64, ge=1, le=4_096, description="Size of the state of each channel")
    kind: Literal["complex", "real"] = Field(
        "complex",
        description="complex: states that oscillate and decay (needs an even state); real: states that only decay",
    )

    def brief(self) -> str:
        return f"{self.state} states, {self.kind}"

    def _real(self) -> dict[str, bool]:
        # A complex state stands for itself and its conjugate, whose outputs sum to a real number.
        if self.kind == "complex" and self.state % 2:
            raise ValueError(
                f"complex states come in pairs, so state must be even, received {self.state}; change it, or set "
                "kind to real"
            )
        return {"real": True} if self.kind == "real" else {}


class DiagonalStateSpace(_Diagonal):
    """h' = Ah + Bu, y = Ch + Du per channel, (N, T, D) -> (N, T, D)."""

    group = "State space and mixture"
    title = "Diagonal state space"
    summary = "A linear state space model with many time scales for each channel; does not mix channels"
    keywords = ("ssm", "s4", "s4d", "dss", "convolution", "long", "series")
    url = "https://arxiv.org/abs/2206.11893"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"state": 8}, {"in": SAMPLES["sequence"]}),
            Example({"state": 3, "kind": "real"}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("DiagonalStateSpace", (specs["in"].size(2),), {**changed_options(self, state=64), **self._real()})


class S4D(_Diagonal):
    """A state space per channel, GELU, and a gated mix of the channels, (N, T, D) -> (N, T, D)."""

    group = "State space and mixture"
    title = "S4D"
    summary = "A diagonal state space model per channel for long sequences, followed by a layer that mixes the channels"
    keywords = ("ssm", "s4", "state space", "structured", "long", "series", "audio")
    url = "https://arxiv.org/abs/2206.11893"

    both_ways: bool = Field(False, description="Read the sequence in both directions")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability before the channels are mixed")

    @classmethod
    def examples(cls) -> list[Example]:
        both = {"state": 3, "kind": "real", "both_ways": True, "dropout": 0.1}
        return [Example(inputs={"in": SAMPLES["sequence"]}), Example(both, {"in": SAMPLES["sequence"]})]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = {
            **changed_options(self, state=64),
            **self._real(),
            **changed_options(self, both_ways=False, dropout=0.0),
        }
        return Call("S4D", (specs["in"].size(2),), options)


class _Mamba(_StateSpace):
    own_initialization = ("dt_proj",)  # whose bias sets the range of the time steps

    state: int = Field(16, ge=1, le=1_024, description="Size of the state of each channel")
    kernel_size: int = Field(4, ge=1, le=64, description="Kernel size of the preceding convolution in steps")
    expand: int = Field(2, ge=1, le=16, description="Ratio of the inner width to D")
    rank: int | None = Field(
        None, ge=1, le=65_536, description="Rank of the projection of the time step; empty: D / 16"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = changed_options(self, state=16, kernel_size=4, expand=2, rank=None)
        return Call(type(self).__name__, (specs["in"].size(2),), options)

    def brief(self) -> str:
        return f"{self.state} states, × {self.expand}"


class Mamba(_Mamba):
    """h_t = exp(Δ_t A) h_(t-1) + Δ_t B_t u_t, y_t = C_t h_t + D u_t, (N, T, D) -> (N, T, D)."""

    group = "State space and mixture"
    title = "Mamba"
    summary = "A selective state space model: the input decides what the state keeps and forgets"
    keywords = ("ssm", "selective", "state space", "scan", "s6", "long", "language")
    url = "https://arxiv.org/abs/2312.00752"


class MambaBlock(_Mamba):
    """x + mamba(RMS norm(x)), (N, T, D) -> (N, T, D)."""

    group = "State space and mixture"
    title = "Mamba block"
    summary = "Mamba with RMS norm and a residual connection, to be stacked"
    keywords = ("ssm", "selective", "state space", "scan", "s6", "long", "language", "residual")
    url = "https://arxiv.org/abs/2312.00752"

    residual_weights = ("mixer.out_proj.weight",)
