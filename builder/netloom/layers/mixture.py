"""Mixtures of experts."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.attention.attention import changed_options
from netloom.layers.attention.transformer import Middle
from netloom.layers.channels import Channels, TensorAxis, Width
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec


class MixtureOfExperts(Layer):
    """The sum of p_e(x)·expert_e(x) over the top experts of each step, (N, …, D) -> (N, …, D)."""

    group = "State space and mixture"
    title = "Mixture of experts"
    summary = "Feed-forward experts; a router selects a few of them for each step"
    keywords = ("moe", "experts", "router", "gating", "switch", "mixtral", "sparse", "transformer")
    url = "https://arxiv.org/abs/2101.03961"
    routes_to_experts = True

    experts: int = Field(4, ge=1, le=1_024, description="Number of experts")
    top: int = Field(2, ge=1, le=64, description="Number of experts that each step uses")
    hidden: int = Field(128, ge=1, le=1_000_000, description="Hidden size of each expert")
    activation: Middle = Field("gelu", description="Activation of the experts, or a gated variant")
    bias: bool = Field(True, description="Add learned biases in the experts")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability of the hidden units in training")
    balance: float = Field(
        0.01, ge=0, le=10, description="Weight of the auxiliary loss that balances the load of the experts"
    )
    capacity: float | None = Field(
        None,
        gt=0,
        le=1_024,
        description="In training, an expert takes at most this many times its share of the steps; empty: no limit",
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
        options = changed_options(self, activation="gelu", bias=True, dropout=0.0, balance=0.01, capacity=None)
        return Call("MixtureOfExperts", (specs["in"].size(-1), self.hidden, self.experts, self.top), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        # Gate and value are in one product. A unit is removed from all experts, which have one size.
        tiles = 2 if self.activation in ("swiglu", "geglu") else 1
        names = ("experts.up", "experts.up_bias") if self.bias else ("experts.up",)
        hidden_axes = tuple(TensorAxis(name, 2, tiles=tiles) for name in names)
        return Channels(widths=(Width("hidden", self.hidden, hidden_axes, reads=(TensorAxis("experts.down", 1),)),))

    def brief(self) -> str:
        return f"{self.top} of {self.experts}"
