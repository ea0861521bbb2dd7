"""Resizing, and the exchange of positions for channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.convolution.convolution import RANKS, Lengths
from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec

# The names of linear interpolation in PyTorch, by the number of axes
LINEAR: Mapping[Kind, str] = {"sequence": "linear", "image": "bilinear", "volume": "trilinear"}


class Upsample(Layer):
    """(N, C, …) -> (N, C, …') with each length multiplied by `scale`, or equal to `size`."""

    group = "Shape"
    title = "Upsample"
    summary = "Resizes an image, a volume or a sequence (N, channels, length) without parameters"
    keywords = ("resize", "interpolate", "scale", "nearest", "bilinear", "bicubic", "trilinear", "decoder", "unet")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html"
    is_linear = True
    is_common = True

    scale: float = Field(2.0, gt=0, le=64, description="Factor by which each axis grows")
    mode: Literal["nearest", "nearest-exact", "linear", "bicubic"] = Field(
        "nearest", description="Interpolation: nearest, linear (bilinear, trilinear) or bicubic"
    )
    align_corners: bool = Field(False, description="Align the corners of input and output; for linear and bicubic")
    size: Lengths = Field((), description="Output size, such as 64, 64, which replaces scale; empty: scale")

    @model_validator(mode="after")
    def _corners(self) -> Upsample:
        if self.align_corners and self.mode.startswith("nearest"):
            raise FieldValueError("align_corners", f"must be off in the mode {self.mode}; it needs linear or bicubic")
        return self

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image", "sequence", "volume"), "(N, channels, positions…)"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        kind = specs["in"].kind
        if self.mode == "bicubic" and not specs["in"].is_image:
            raise ValueError(f"bicubic needs an image (N, C, H, W), received {specs['in']}; choose linear")
        if self.size and len(self.size) != RANKS[kind]:
            raise ValueError(f"size={self.size} needs one number for each of the {RANKS[kind]} axes after the channels")
        # PyTorch rounds the output size down, to 0 for a small scale.
        lengths = [specs["in"].size(axis) for axis in range(2, len(specs["in"].shape))]
        if not self.size and any(int(length * self.scale) < 1 for length in lengths):
            raise ValueError(f"scale={self.scale} makes {specs['in']} empty; raise it")
        kwargs: dict[str, float | bool | str | tuple[int, ...]] = (
            {"size": self.size} if self.size else {"scale_factor": self.scale}
        )
        kwargs["mode"] = LINEAR[kind] if self.mode == "linear" else self.mode
        if self.align_corners:
            kwargs["align_corners"] = True
        return Call("nn.Upsample", (), kwargs)

    def brief(self) -> str:
        return f"{'×'.join(map(str, self.size)) if self.size else f'× {self.scale:g}'}, {self.mode}"


class _Image(Layer):
    is_linear = True

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)


class PixelShuffle(_Image):
    """(N, C·r², H, W) -> (N, C, H·r, W·r)."""

    group = "Shape"
    title = "Pixel shuffle"
    summary = "Rearranges channels to pixels: a larger image with fewer channels"
    keywords = ("super resolution", "sub-pixel", "depth to space", "upsample")
    url = "https://arxiv.org/abs/1609.05158"

    factor: int = Field(2, ge=1, le=256, description="Factor by which height and width grow (r)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        if channels % self.factor**2:
            raise ValueError(
                f"the {channels} input channels must be a multiple of factor² = {self.factor**2}; put a Conv 2D "
                "with a suitable number of filters before it"
            )
        return Call("nn.PixelShuffle", (self.factor,))

    def brief(self) -> str:
        return f"× {self.factor}"


class PixelUnshuffle(_Image):
    """(N, C, H·r, W·r) -> (N, C·r², H, W)."""

    group = "Shape"
    title = "Pixel unshuffle"
    summary = "Rearranges pixels to channels: a smaller image without loss of information"
    keywords = ("space to depth", "downsample", "super resolution")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html"

    factor: int = Field(2, ge=1, le=256, description="Factor by which height and width shrink (r)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        height, width = specs["in"].size(2), specs["in"].size(3)
        if height % self.factor or width % self.factor:
            raise ValueError(f"factor={self.factor} must divide the height and the width of {specs['in']}")
        return Call("nn.PixelUnshuffle", (self.factor,))

    def brief(self) -> str:
        return f"÷ {self.factor}"


class ChannelShuffle(_Image):
    """(N, C, H, W) with interleaved channels: (g, C/g) transposed to (C/g, g)."""

    group = "Shape"
    title = "Channel shuffle"
    summary = "Interleaves the channels of the groups, so that groups can mix"
    keywords = ("shufflenet", "groups", "channels")
    url = "https://arxiv.org/abs/1707.01083"

    groups: int = Field(2, ge=1, le=65_536, description="Number of groups of channels")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["in"].size(1) % self.groups:
            raise ValueError(f"groups={self.groups} must divide the {specs['in'].size(1)} input channels")
        return Call("nn.ChannelShuffle", (self.groups,))

    def brief(self) -> str:
        return f"{self.groups} groups"
