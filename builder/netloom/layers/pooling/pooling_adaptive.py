"""Pooling to a given size, or to one value per channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from netloom.layers.convolution.convolution import RANKS
from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec
from netloom.layers.probability import Probabilities, averaged


class _Adaptive(Layer):
    kind: ClassVar[Kind]

    size: int = Field(1, ge=1, le=4_096, description="Output size along each axis")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def channel_axis(self, axis: int) -> int:
        return 1

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}", (self.size,))

    def brief(self) -> str:
        return "to " + "×".join([str(self.size)] * RANKS[self.kind])


class AdaptiveAvgPool2d(_Adaptive):
    """(N, C, H, W) -> (N, C, size, size) by means, for any H and W."""

    group = "Pooling"
    title = "Adaptive average pool 2D"
    summary = "Means over windows that give an output of fixed size"
    keywords = ("downsample", "mean", "resize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html"
    kind = "image"
    is_linear = True
    is_common = True


class AdaptiveMaxPool2d(_Adaptive):
    """(N, C, H, W) -> (N, C, size, size) by maxima, for any H and W."""

    group = "Pooling"
    title = "Adaptive max pool 2D"
    summary = "Maxima over windows that give an output of fixed size"
    keywords = ("downsample", "maximum", "resize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html"
    kind = "image"


class AdaptiveAvgPool1d(_Adaptive):
    """(N, C, L) -> (N, C, size) by means, for any L."""

    group = "Pooling"
    title = "Adaptive average pool 1D"
    summary = "Means over windows of a sequence (N, channels, length) that give an output of fixed length"
    keywords = ("downsample", "mean", "resize", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html"
    kind = "sequence"
    is_linear = True


class AdaptiveMaxPool1d(_Adaptive):
    """(N, C, L) -> (N, C, size) by maxima, for any L."""

    group = "Pooling"
    title = "Adaptive max pool 1D"
    summary = "Maxima over windows of a sequence (N, channels, length) that give an output of fixed length"
    keywords = ("downsample", "maximum", "resize", "temporal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html"
    kind = "sequence"


class AdaptiveAvgPool3d(_Adaptive):
    """(N, C, D, H, W) -> (N, C, size, size, size) by means, for any D, H and W."""

    group = "Pooling"
    title = "Adaptive average pool 3D"
    summary = "Means over windows of a volume that give an output of fixed size"
    keywords = ("downsample", "mean", "resize", "video", "voxel")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool3d.html"
    kind = "volume"
    is_linear = True


class AdaptiveMaxPool3d(_Adaptive):
    """(N, C, D, H, W) -> (N, C, size, size, size) by maxima, for any D, H and W."""

    group = "Pooling"
    title = "Adaptive max pool 3D"
    summary = "Maxima over windows of a volume that give an output of fixed size"
    keywords = ("downsample", "maximum", "resize", "video", "voxel")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool3d.html"
    kind = "volume"


class _Global(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image", "sequence", "volume"), "(N, channels, positions…)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(type(self).__name__)


class GlobalAvgPool(_Global):
    """(N, C, …) -> (N, C), the mean over all positions."""

    group = "Pooling"
    title = "Global average pool"
    summary = "The mean of each channel over all positions"
    keywords = ("gap", "mean", "head")
    url = "https://arxiv.org/abs/1312.4400"
    is_common = True
    is_linear = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        # The mean over positions is a distribution over channels only if each position holds one, along axis 1.
        probabilities = inputs.get("in")
        return averaged([probabilities]) if probabilities is not None and probabilities.axis in (0, 1) else None


class GlobalMaxPool(_Global):
    """(N, C, …) -> (N, C), the maximum over all positions."""

    group = "Pooling"
    title = "Global max pool"
    summary = "The maximum of each channel over all positions"
    keywords = ("maximum", "head")
    url = "https://arxiv.org/abs/1312.4400"
    is_common = True
