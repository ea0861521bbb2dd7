"""Causal convolutions over sequences (N, T, D): no step depends on later steps."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.channels import Channels, Read, TensorAxis, Width, axes
from netloom.layers.layer import Call, Layer, Port, TensorSpec


class _Causal(Layer):
    kernel_size: int = Field(3, ge=1, le=1_024, description="Size of the kernel in steps")
    dilation: int = Field(
        1,
        ge=1,
        le=65_536,
        description="Spacing between the elements of the kernel; usually doubled from block to block",
    )

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def _options(self, kernel_size: int = 3) -> dict[str, int]:
        kernel = {"kernel_size": self.kernel_size} if self.kernel_size != kernel_size else {}
        return kernel | ({"dilation": self.dilation} if self.dilation > 1 else {})

    def _kernel_text(self) -> str:
        return f"{self.kernel_size}{f' every {self.dilation}' if self.dilation > 1 else ''}"


class CausalConv1d(_Causal):
    """yₜ = b + Σᵢ Wᵢ xₜ₋ᵢ·dilation with zeros before the start, (N, T, D) -> (N, T, filters)."""

    group = "Convolution"
    title = "Causal Conv 1D"
    summary = "A convolution over a sequence (N, T, D) in which each step depends only on itself and earlier steps"
    keywords = ("convolution", "temporal", "dilated", "series", "audio", "forecast", "tcn", "wavenet")
    url = "https://arxiv.org/abs/1609.03499"
    is_linear = True

    filters: int = Field(32, ge=1, le=65_536, description="Number of output features per step")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CausalConv1d", (specs["in"].size(2), self.filters), self._options())

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        width = Width("filters", self.filters, axes("convolution.weight", "convolution.bias"), {"out": -1})
        return Channels((Read(-1, (TensorAxis("convolution.weight", 1),)),), (width,))

    def brief(self) -> str:
        return f"{self.filters} × {self._kernel_text()}"


class TCNBlock(_Causal):
    """relu(f(x) + x) with two causal convolutions in f, (N, T, D) -> (N, T, filters)."""

    group = "Convolution"
    title = "TCN block"
    summary = "Two causal convolutions with a residual connection, the block of temporal convolutional networks"
    keywords = ("temporal convolutional network", "causal", "dilated", "residual", "series", "forecast")
    url = "https://arxiv.org/abs/1803.01271"

    filters: int = Field(32, ge=1, le=65_536, description="Number of output features per step")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout probability in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        dropout = {"dropout": self.dropout} if self.dropout else {}
        return Call("TCNBlock", (specs["in"].size(2), self.filters), {**self._options(), **dropout})

    def brief(self) -> str:
        return f"{self.filters} × {self._kernel_text()}"


class WaveNetBlock(_Causal):
    """tanh · sigmoid of causal convolutions, (N, T, D) -> out (N, T, D), skip (N, T, skip)."""

    group = "Convolution"
    title = "WaveNet block"
    summary = "A gated causal convolution with a residual connection and a skip connection to the end of the network"
    keywords = ("wavenet", "gated", "causal", "dilated", "audio", "skip", "autoregressive")
    url = "https://arxiv.org/abs/1609.03499"

    kernel_size: int = Field(2, ge=1, le=1_024, description="Size of the kernel in steps")
    skip: int = Field(32, ge=1, le=65_536, description="Number of features per step at the port skip")

    def outputs(self) -> tuple[Port, ...]:
        return (
            Port("out", ("sequence",), "To the next block, (N, T, D)"),
            Port("skip", ("sequence",), "Skip connection, to be summed over all blocks, (N, T, skip)"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("WaveNetBlock", (specs["in"].size(2), self.skip), self._options(2))

    def brief(self) -> str:
        return f"{self._kernel_text()}, skip {self.skip}"
