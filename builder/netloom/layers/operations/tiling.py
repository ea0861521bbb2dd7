"""Layers that repeat, flip, shift, pad or window an axis."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, TensorSpec
from netloom.layers.operations.operation import Axes, Axis, Length, OneAxis, places, resolve_axis


class Expand(OneAxis, Layer):
    """Repeats an axis of length 1, such as (N, 1, D) -> (N, length, D)."""

    group = "Shape"
    title = "Expand"
    summary = "Repeats an axis of length 1"
    keywords = ("broadcast", "repeat", "tile", "copy")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    length: Length = Field(2, description="New length of the axis")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"length": 5}, {"in": TensorSpec((None, 1, 4))}),
            Example({"axis": -1, "length": 3}, {"in": TensorSpec((None, 2, 4, 1))}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if specs["in"].size(axis) != 1:
            raise ValueError(
                f"axis {axis} of {specs['in']} has the length {specs['in'].size(axis)}, and only an axis of length 1 "
                "can be expanded; put Unsqueeze before it, or use Repeat"
            )
        return Call("Expand", (axis, self.length))

    def brief(self) -> str:
        return f"axis {self.axis} to {self.length}"


class Repeat(OneAxis, Layer):
    """Repeats the tensor along one axis, such as (N, T, D) -> (N, times·T, D)."""

    group = "Shape"
    title = "Repeat"
    summary = "Repeats the tensor along one axis"
    keywords = ("tile", "repeat interleave", "copy", "upsample", "grouped query")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.tile.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    times: int = Field(2, ge=1, le=1_000, description="Number of repetitions")
    each: bool = Field(False, description="Repeat each element in place (aabb) instead of the whole axis (abab)")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"times": 3}, {"in": SAMPLES["vector"]}),
            Example({"axis": -1, "each": True}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        return Call("Repeat", (axis, self.times), {"each": True} if self.each else {})

    def brief(self) -> str:
        return f"{self.times} × axis {self.axis}"


class Flip(Layer):
    """Reverses the order along one or more axes."""

    group = "Shape"
    title = "Flip"
    summary = "Reverses the order along one or more axes, such as the steps of a sequence"
    keywords = ("reverse", "mirror", "backwards")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.flip.html"
    is_linear = True

    axes: Axes = Field((1,), description="Axes, counted from 1 after the batch axis, or from -1 for the last")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["sequence"]}),
            Example({"axes": [-1, 2]}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Flip", (places(self.axes, specs["in"]),))

    def brief(self) -> str:
        return f"{'axes' if len(self.axes) > 1 else 'axis'} {', '.join(str(axis) for axis in self.axes)}"


class Roll(OneAxis, Layer):
    """yᵢ = xᵢ₋ₛ along one axis, circularly."""

    group = "Shape"
    title = "Roll"
    summary = "Shifts values along one axis; values shifted out at one end reappear at the other"
    keywords = ("shift", "rotate", "circular", "cyclic", "swin")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.roll.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    shift: int = Field(
        1, ge=-1_000_000, le=1_000_000, description="Number of positions to shift; negative numbers shift backward"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Roll", (resolve_axis(self.axis, specs["in"]), self.shift))

    def brief(self) -> str:
        return f"axis {self.axis} by {self.shift}"


class Pad(OneAxis, Layer):
    """Pads one axis with `value` before and after it, such as (N, T, D) -> (N, before + T + after, D)."""

    group = "Shape"
    title = "Pad axis"
    summary = "Pads one axis with a constant before and after it"
    keywords = ("padding", "zeros", "extend", "constant pad", "causal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    before: int = Field(0, ge=0, le=1_000_000, description="Number of values added at the front")
    after: int = Field(1, ge=0, le=1_000_000, description="Number of values added at the end")
    value: float = Field(0.0, ge=-1e9, le=1e9, description="Value of the padding")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"before": 2, "after": 0, "value": -1.5}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -2, "before": 1}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if specs["in"].dtype == "int" and not self.value.is_integer():
            raise ValueError(
                f"value={self.value:g} is not an integer, but the input holds integers; use an integer value"
            )
        return Call("Pad", (axis, self.before, self.after), {"value": self.value} if self.value else {})

    def brief(self) -> str:
        return f"axis {self.axis}: {self.before} + {self.after}"


class SlidingWindow(OneAxis, Layer):
    """Overlapping windows of one axis, such as (N, T, D) -> (N, windows, size, D)."""

    group = "Shape"
    title = "Sliding window"
    summary = "Extracts windows of one axis, which can overlap, along a new axis"
    keywords = ("windows", "frames", "unfold", "patches", "overlap", "lags", "segments")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.unfold.html"
    is_linear = True

    axis: Axis = Field(1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")
    size: Length = Field(4, description="Size of the window")
    step: Length = Field(1, description="Distance between windows")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"size": 3, "step": 2}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -1, "size": 4, "step": 4}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if self.size > specs["in"].size(axis):
            raise ValueError(
                f"size={self.size} is more than the length {specs['in'].size(axis)} of axis {axis}; lower it"
            )
        return Call("SlidingWindow", (axis, self.size, self.step))

    def brief(self) -> str:
        return f"{self.size} every {self.step}, axis {self.axis}"
