"""Pooling: many places become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from builder.layers.base import Call, Kind, Layer, Port, TensorSpec


class _Pooling(Layer):
    kind: ClassVar[Kind]

    kernel_size: int = Field(2, ge=1, le=1_024, description="The length of the window along each axis")
    stride: int | None = Field(None, ge=1, le=1_024, description="How far the window moves; empty: its own length")
    padding: int = Field(0, ge=0, le=512, description="Border added at each side, at most half the window")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.padding * 2 > self.kernel_size:
            raise ValueError(f"padding={self.padding} is more than half of kernel_size={self.kernel_size}")
        kwargs = {"stride": self.stride} if self.stride not in (None, self.kernel_size) else {}
        if self.padding:
            kwargs["padding"] = self.padding
        return Call(f"nn.{type(self).__name__}", (self.kernel_size,), kwargs)

    def brief(self) -> str:
        return "×".join([str(self.kernel_size)] * (2 if self.kind == "image" else 1))


class MaxPool2d(_Pooling):
    """(N, C, H, W) -> (N, C, H', W'), the maximum of each window."""

    group = "Pooling"
    title = "Max pool 2D"
    summary = "Keeps the strongest answer in each window of an image"
    keywords = ("downsample", "maximum", "subsampling")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html"
    kind = "image"


class AvgPool2d(_Pooling):
    """(N, C, H, W) -> (N, C, H', W'), the mean of each window."""

    group = "Pooling"
    title = "Average pool 2D"
    summary = "Takes the mean of each window of an image"
    keywords = ("downsample", "mean", "average", "subsampling")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html"
    kind = "image"


class MaxPool1d(_Pooling):
    """(N, C, L) -> (N, C, L'), the maximum of each window."""

    group = "Pooling"
    title = "Max pool 1D"
    summary = "Keeps the strongest answer in each window of a sequence (N, channels, length)"
    keywords = ("downsample", "maximum", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html"
    kind = "sequence"


class AvgPool1d(_Pooling):
    """(N, C, L) -> (N, C, L'), the mean of each window."""

    group = "Pooling"
    title = "Average pool 1D"
    summary = "Takes the mean of each window of a sequence (N, channels, length)"
    keywords = ("downsample", "mean", "average", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html"
    kind = "sequence"


class _Adaptive(Layer):
    size: int = Field(1, ge=1, le=4_096, description="How many places are left along each axis")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}", (self.size,))

    def brief(self) -> str:
        return f"to {self.size}×{self.size}"


class AdaptiveAvgPool2d(_Adaptive):
    """(N, C, H, W) -> (N, C, size, size) by means, whatever H and W are."""

    group = "Pooling"
    title = "Adaptive average pool 2D"
    summary = "Means over windows chosen so that a fixed number of places is left"
    keywords = ("downsample", "mean", "resize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html"


class AdaptiveMaxPool2d(_Adaptive):
    """(N, C, H, W) -> (N, C, size, size) by maxima, whatever H and W are."""

    group = "Pooling"
    title = "Adaptive max pool 2D"
    summary = "Maxima over windows chosen so that a fixed number of places is left"
    keywords = ("downsample", "maximum", "resize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html"


class _Global(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image", "sequence"), "(N, channels, places…)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(type(self).__name__)


class GlobalAvgPool(_Global):
    """(N, C, …) -> (N, C), the mean over all places."""

    group = "Pooling"
    title = "Global average pool"
    summary = "One number per channel: the mean over all places"
    keywords = ("gap", "mean", "head")
    url = "https://arxiv.org/abs/1312.4400"


class GlobalMaxPool(_Global):
    """(N, C, …) -> (N, C), the maximum over all places."""

    group = "Pooling"
    title = "Global max pool"
    summary = "One number per channel: the maximum over all places"
    keywords = ("maximum", "head")
    url = "https://arxiv.org/abs/1312.4400"
