"""Position encodings, which are added to a sequence or rotate it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.attention.attention import changed_options
from netloom.layers.layer import Call, Layer, Port, TensorSpec


class SinusoidalEncoding(Layer):
    """Adds sines and cosines of decreasing frequency, (N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Sinusoidal encoding"
    summary = "Adds sines and cosines that encode the position of each step, for any length"
    keywords = ("position", "positional", "encoding", "sine", "transformer")
    url = "https://arxiv.org/abs/1706.03762"
    is_linear = True

    base: float = Field(
        10000.0,
        ge=1,
        le=1e9,
        description="Base of the frequencies: the slowest wave is about this many times slower than the fastest",
    )
    scaled: bool = Field(False, description="Multiply the input by √D first, as the original Transformer does")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("SinusoidalEncoding", (), changed_options(self, base=10000.0, scaled=False))


class RotaryPosition(Layer):
    """Rotates pairs of features by angles proportional to the position, (N, T, D) -> (N, T, D)."""

    group = "Attention"
    title = "Rotary position embedding"
    summary = "Rotates queries or keys, so that their dot product depends on their distance (RoPE)"
    keywords = ("rope", "position", "rotary", "attention", "transformer")
    url = "https://arxiv.org/abs/2104.09864"

    base: float = Field(10000.0, ge=1, le=1e9, description="Base of the frequencies (θ)")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D), D even"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("RotaryPosition", (), changed_options(self, base=10000.0))
