"""Padding at the borders, before a convolution or to reach a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.convolution.convolution import RANKS
from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec

Border = Annotated[int, Field(ge=0, le=1_024)]


class _Padding(Layer):
    kind: ClassVar[Kind]
    is_linear = True

    padding: int = Field(1, ge=0, le=1_024, description="Number of values added at each border")
    sides: Annotated[tuple[Border, ...], Field(strict=False, max_length=6)] = Field(
        (),
        description="Values added at each border: left, right, top, bottom, front, back; empty: padding everywhere",
    )

    @model_validator(mode="after")
    def _sides(self) -> _Padding:
        borders = 2 * RANKS[self.kind]
        if self.sides and len(self.sides) != borders:
            raise FieldValueError(
                "sides", f"must have one number for each of the {borders} borders, or be empty", self.sides
            )
        return self

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", (self.kind,)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", (self.kind,)),)

    def channel_axis(self, axis: int) -> int:
        return 1

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}", (self.sides or self.padding,))

    def brief(self) -> str:
        return ", ".join(map(str, self.sides or (self.padding,)))


class _Within(_Padding):
    # The number of values along an axis that cannot be padding: a reflection does not repeat the border itself
    spare: ClassVar[int] = 0

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        sides = self.sides or (self.padding,) * 2 * RANKS[self.kind]
        for number, added in enumerate(sides):
            # PyTorch lists borders from the last axis to the first, two for each axis.
            length = specs["in"].size(-1 - number // 2)
            if added > length - self.spare:
                raise ValueError(
                    f"{specs['in']} has too few places to add {added} at a border of length {length}; "
                    f"take at most {length - self.spare}"
                )
        return super().build(specs)


class _Constant(_Padding):
    value: float = Field(0.0, ge=-3e38, le=3e38, description="Value of the padding")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}", (self.sides or self.padding, self.value))


class ZeroPad1d(_Padding):
    """(N, C, L) -> (N, C, L'), with zeros at the borders."""

    group = "Convolution"
    title = "Zero pad 1D"
    summary = "Pads a sequence (N, channels, length) with zeros"
    keywords = ("padding", "border", "same")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad1d.html"
    kind = "sequence"


class ZeroPad2d(_Padding):
    """(N, C, H, W) -> (N, C, H', W'), with zeros at the borders."""

    group = "Convolution"
    title = "Zero pad 2D"
    summary = "Pads an image with zeros"
    keywords = ("padding", "border", "same")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad2d.html"
    kind = "image"


class ZeroPad3d(_Padding):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with zeros at the borders."""

    group = "Convolution"
    title = "Zero pad 3D"
    summary = "Pads a volume with zeros"
    keywords = ("padding", "border", "same")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ZeroPad3d.html"
    kind = "volume"


class ConstantPad1d(_Constant):
    """(N, C, L) -> (N, C, L'), with one value at the borders."""

    group = "Convolution"
    title = "Constant pad 1D"
    summary = "Pads a sequence (N, channels, length) with a constant"
    keywords = ("padding", "border", "value")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad1d.html"
    kind = "sequence"


class ConstantPad2d(_Constant):
    """(N, C, H, W) -> (N, C, H', W'), with one value at the borders."""

    group = "Convolution"
    title = "Constant pad 2D"
    summary = "Pads an image with a constant"
    keywords = ("padding", "border", "value")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html"
    kind = "image"


class ConstantPad3d(_Constant):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with one value at the borders."""

    group = "Convolution"
    title = "Constant pad 3D"
    summary = "Pads a volume with a constant"
    keywords = ("padding", "border", "value")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad3d.html"
    kind = "volume"


class ReflectionPad1d(_Within):
    """(N, C, L) -> (N, C, L'), with the input reflected at its borders, which are not repeated."""

    group = "Convolution"
    title = "Reflection pad 1D"
    summary = "Pads a sequence (N, channels, length) with its reflection at the borders"
    keywords = ("padding", "border", "mirror", "reflect")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad1d.html"
    kind = "sequence"
    spare = 1


class ReflectionPad2d(_Within):
    """(N, C, H, W) -> (N, C, H', W'), with the input reflected at its borders, which are not repeated."""

    group = "Convolution"
    title = "Reflection pad 2D"
    summary = "Pads an image with its reflection at the borders"
    keywords = ("padding", "border", "mirror", "reflect")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad2d.html"
    kind = "image"
    spare = 1


class ReflectionPad3d(_Within):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with the input reflected at its borders, which are not repeated."""

    group = "Convolution"
    title = "Reflection pad 3D"
    summary = "Pads a volume with its reflection at the borders"
    keywords = ("padding", "border", "mirror", "reflect")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReflectionPad3d.html"
    kind = "volume"
    spare = 1


class ReplicationPad1d(_Padding):
    """(N, C, L) -> (N, C, L'), with the outermost values repeated."""

    group = "Convolution"
    title = "Replication pad 1D"
    summary = "Pads a sequence (N, channels, length) with its outermost values"
    keywords = ("padding", "border", "edge", "replicate", "repeat")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad1d.html"
    kind = "sequence"


class ReplicationPad2d(_Padding):
    """(N, C, H, W) -> (N, C, H', W'), with the outermost values repeated."""

    group = "Convolution"
    title = "Replication pad 2D"
    summary = "Pads an image with its outermost values"
    keywords = ("padding", "border", "edge", "replicate", "repeat")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad2d.html"
    kind = "image"


class ReplicationPad3d(_Padding):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with the outermost values repeated."""

    group = "Convolution"
    title = "Replication pad 3D"
    summary = "Pads a volume with its outermost values"
    keywords = ("padding", "border", "edge", "replicate", "repeat")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReplicationPad3d.html"
    kind = "volume"


class CircularPad1d(_Within):
    """(N, C, L) -> (N, C, L'), with values from the opposite end at each border."""

    group = "Convolution"
    title = "Circular pad 1D"
    summary = "Pads a sequence (N, channels, length) at each border with values from the opposite end"
    keywords = ("padding", "border", "wrap", "periodic", "torus")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad1d.html"
    kind = "sequence"


class CircularPad2d(_Within):
    """(N, C, H, W) -> (N, C, H', W'), with values from the opposite end at each border."""

    group = "Convolution"
    title = "Circular pad 2D"
    summary = "Pads an image at each border with values from the opposite end"
    keywords = ("padding", "border", "wrap", "periodic", "torus")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad2d.html"
    kind = "image"


class CircularPad3d(_Within):
    """(N, C, D, H, W) -> (N, C, D', H', W'), with values from the opposite end at each border."""

    group = "Convolution"
    title = "Circular pad 3D"
    summary = "Pads a volume at each border with values from the opposite end"
    keywords = ("padding", "border", "wrap", "periodic", "torus")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CircularPad3d.html"
    kind = "volume"
