"""Layers that repeat, move, extend or cut up what stands along an axis."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, TensorSpec
from netloom.layers.operation import Axes, Axis, Length, OneAxis, place, places


class Expand(OneAxis, Layer):
    """An axis of length 1 made longer, such as (N, 1, D) -> (N, length, D)."""

    group = "Shape"
    title = "Expand"
    summary = "Makes an axis of length 1 longer by repeating the one part it has"
    keywords = ("broadcast", "repeat", "tile", "copy")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html"

    axis: Axis = Field(1, description="The axis, counted from 1 after the batch axis, or from -1, which is the last")
    length: Length = Field(2, description="How long it becomes")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"length": 5}, {"in": TensorSpec((None, 1, 4))}),
            Example({"axis": -1, "length": 3}, {"in": TensorSpec((None, 2, 4, 1))}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = place(self.axis, specs["in"])
        if specs["in"].size(axis) != 1:
            raise ValueError(
                f"axis {axis} of {specs['in']} has the length {specs['in'].size(axis)}, and only an axis of length 1 "
                "can be expanded; put Unsqueeze before it, or use Repeat"
            )
        return Call("Expand", (axis, self.length))

    def brief(self) -> str:
        return f"axis {self.axis} to {self.length}"


class Repeat(OneAxis, Layer):
    """Several times along one axis, such as (N, T, D) -> (N, times·T, D)."""

    group = "Shape"
    title = "Repeat"
    summary = "The same several times over along one axis"
    keywords = ("tile", "repeat interleave", "copy", "upsample", "grouped query")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.tile.html"

    axis: Axis = Field(1, description="The axis, counted from 1 after the batch axis, or from -1, which is the last")
    times: int = Field(2, ge=1, le=1_000, description="How often it stands there then")
    each: bool = Field(False, description="Each part several times in place (aabb), or else all of it again (abab)")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"times": 3}, {"in": SAMPLES["vector"]}),
            Example({"axis": -1, "each": True}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = place(self.axis, specs["in"])
        return Call("Repeat", (axis, self.times), {"each": True} if self.each else {})

    def brief(self) -> str:
        return f"{self.times} × axis {self.axis}"


class Flip(Layer):
    """The order along one or several axes turned around."""

    group = "Shape"
    title = "Flip"
    summary = "The order along one or several axes turned around, such as a sequence from its end"
    keywords = ("reverse", "mirror", "backwards")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.flip.html"

    axes: Axes = Field((1,), description="The axes, counted from 1 after the batch axis, or from -1, which is the last")

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
    """yᵢ = xᵢ₋ₛ along one axis, in a circle."""

    group = "Shape"
    title = "Roll"
    summary = "Moves everything along one axis; what leaves at one end comes in at the other"
    keywords = ("shift", "rotate", "circular", "cyclic", "swin")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.roll.html"

    axis: Axis = Field(1, description="The axis, counted from 1 after the batch axis, or from -1, which is the last")
    shift: int = Field(1, ge=-1_000_000, le=1_000_000, description="By how many places; negative numbers move back")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Roll", (place(self.axis, specs["in"]), self.shift))

    def brief(self) -> str:
        return f"axis {self.axis} by {self.shift}"


class Pad(OneAxis, Layer):
    """One number before and after what stands along one axis, such as (N, T, D) -> (N, before + T + after, D)."""

    group = "Shape"
    title = "Pad an axis"
    summary = "Makes one axis longer with the same number before and after it"
    keywords = ("padding", "zeros", "extend", "constant pad", "causal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html"

    axis: Axis = Field(1, description="The axis, counted from 1 after the batch axis, or from -1, which is the last")
    before: int = Field(0, ge=0, le=1_000_000, description="How many places are added at the front")
    after: int = Field(1, ge=0, le=1_000_000, description="How many places are added at the end")
    value: float = Field(0.0, ge=-1e9, le=1e9, description="The number that stands there")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"before": 2, "after": 0, "value": -1.5}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -2, "before": 1}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = place(self.axis, specs["in"])
        if specs["in"].dtype == "int" and not self.value.is_integer():
            raise ValueError(f"value={self.value:g} is no whole number, but what comes in is whole; take a whole value")
        return Call("Pad", (axis, self.before, self.after), {"value": self.value} if self.value else {})

    def brief(self) -> str:
        return f"axis {self.axis}: {self.before} + {self.after}"


class SlidingWindow(OneAxis, Layer):
    """Overlapping stretches of one axis, such as (N, T, D) -> (N, windows, size, D)."""

    group = "Shape"
    title = "Sliding window"
    summary = "Cuts one axis into stretches of one length that may overlap, on a new axis"
    keywords = ("windows", "frames", "unfold", "patches", "overlap", "lags", "segments")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.unfold.html"

    axis: Axis = Field(1, description="The axis, counted from 1 after the batch axis, or from -1, which is the last")
    size: Length = Field(4, description="How long each stretch is")
    step: Length = Field(1, description="How far the next one begins behind it")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"size": 3, "step": 2}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -1, "size": 4, "step": 4}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = place(self.axis, specs["in"])
        if self.size > specs["in"].size(axis):
            raise ValueError(
                f"size={self.size} is longer than the {specs['in'].size(axis)} places along axis {axis}; shorten it"
            )
        return Call("SlidingWindow", (axis, self.size, self.step))

    def brief(self) -> str:
        return f"{self.size} every {self.step}, axis {self.axis}"
