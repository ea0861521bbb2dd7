"""Mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.attention import unlike
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec
from netloom.layers.transformer import Middle


class MixtureOfExperts(Layer):
    """The sum of p_e(x)·expert_e(x) over the best experts of each step, (N, …, D) -> (N, …, D)."""

    group = "State space and mixture"
    title = "Mixture of experts"
    summary = "Many feed-forward parts, of which each step uses the few that a router chooses for it"
    keywords = ("moe", "experts", "router", "gating", "switch", "mixtral", "sparse", "transformer")
    url = "https://arxiv.org/abs/2101.03961"

    experts: int = Field(4, ge=1, le=1_024, description="How many there are")
    top: int = Field(2, ge=1, le=64, description="How many each step uses")
    hidden: int = Field(128, ge=1, le=1_000_000, description="The width in the middle of each")
    activation: Middle = Field("gelu", description="What bends the middle, or a gated kind")
    bias: bool = Field(True, description="Whether the experts add a learned constant")
    dropout: float = Field(0.0, ge=0, lt=1, description="The share of the middle that is dropped while training")
    balance: float = Field(0.01, ge=0, le=10, description="How much a loss that spreads the steps evenly counts")
    capacity: float | None = Field(
        None,
        gt=0,
        le=1_024,
        description="While training, an expert takes at most so many times its even share of the steps; none: all",
    )

    @classmethod
    def examples(cls) -> list[Example]:
        tight = {"activation": "swiglu", "bias": False, "capacity": 1.0, "top": 1}
        return [
            Example(inputs={"in": SAMPLES["sequence"]}),
            Example(inputs={"in": SAMPLES["vector"]}),
            Example(tight, {"in": SAMPLES["sequence"]}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = unlike(self, activation="gelu", bias=True, dropout=0.0, balance=0.01, capacity=None)
        return Call("MixtureOfExperts", (specs["in"].size(-1), self.hidden, self.experts, self.top), options)

    def brief(self) -> str:
        return f"{self.top} of {self.experts}"
