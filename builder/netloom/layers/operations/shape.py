"""Layers that change the shape of a tensor, and the mean and maximum over one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec
from netloom.layers.operations.operation import Axis, OneAxis, resolve_axis
from netloom.layers.probability import Probabilities, averaged, permuted, reshaped, without

Size = Annotated[int, Field(ge=-1, le=100_000_000)]


class Flatten(Layer):
    """(N, …) -> (N, D)."""

    group = "Shape"
    title = "Flatten"
    summary = "Flattens each example to a vector"
    keywords = ("vector", "reshape", "unroll")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html"
    is_linear = True
    makes_representation = False
    is_common = True

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("vector",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if len(specs["in"].shape) == 1:
            return Call("Unsqueeze", (1,))  # (N,) -> (N, 1); nn.Flatten needs an axis after N
        return Call("nn.Flatten")

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)


class Reshape(Layer):
    """(N, …) -> (N, *shape)."""

    group = "Shape"
    title = "Reshape"
    summary = "Changes the shape of each example and keeps its values"
    keywords = ("view", "unflatten")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.reshape.html"
    is_linear = True
    makes_representation = False
    is_common = True

    shape: Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=5)] = Field(
        (-1,), description="New shape without the batch axis; one entry can be -1, which is inferred"
    )

    @model_validator(mode="after")
    def _fillable(self) -> Reshape:
        if self.shape.count(-1) > 1 or 0 in self.shape:
            raise FieldValueError("shape", "must be positive numbers, except for one -1", self.shape)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"shape": [-1, 4]}, {"in": SAMPLES["vector"]}),
            Example({"shape": [2, -1]}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Reshape", (self.shape,))

    def brief(self) -> str:
        return "N, " + ", ".join(str(size) for size in self.shape)

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)


class Permute(Layer):
    """(N, A, B, …) with the axes after N reordered."""

    group = "Shape"
    title = "Permute"
    summary = "Reorders the axes of an example, such as 2, 1 to swap two"
    keywords = ("transpose", "swap", "channels first", "channels last")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.permute.html"
    is_linear = True
    is_common = True

    order: Annotated[tuple[int, ...], Field(strict=False, min_length=1, max_length=5)] = Field(
        (2, 1), description="Axes in their new order, counted from 1"
    )

    @model_validator(mode="after")
    def _order(self) -> Permute:
        if sorted(self.order) != list(range(1, len(self.order) + 1)):
            raise FieldValueError("order", f"must name each axis from 1 to {len(self.order)} once", self.order)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        orders: dict[Kind, list[int]] = {"vector": [1], "sequence": [2, 1], "image": [3, 1, 2]}
        return [Example({"order": order}, {"in": SAMPLES[kind]}) for kind, order in orders.items()]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axes = len(specs["in"].shape) - 1
        if axes != len(self.order):
            raise ValueError(f"order={self.order} names {len(self.order)} axes, but {specs['in']} has {axes} after N")
        return Call("Permute", (self.order,))

    def channel_axis(self, axis: int) -> int:
        return self.order.index(axis) + 1 if axis in self.order else axis

    def brief(self) -> str:
        return "N, " + ", ".join(str(axis) for axis in self.order)

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return permuted(inputs.get("in"), self.order)


class Transpose(Layer):
    """Two axes swapped, such as (N, T, D) -> (N, D, T)."""

    group = "Shape"
    title = "Transpose"
    summary = "Swaps two axes of an example"
    keywords = ("swap", "permute", "channels first", "channels last", "swapaxes")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.transpose.html"
    is_linear = True

    axis: Axis = Field(
        -2, description="First axis to swap, counted from 1 after the batch axis, or from -1 for the last"
    )
    other: Axis = Field(-1, description="Second axis to swap")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["sequence"]}),
            Example({"axis": 1, "other": 3}, {"in": TensorSpec((None, 3, 4, 5))}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        first, second = resolve_axis(self.axis, specs["in"]), resolve_axis(self.other, specs["in"], "other")
        if first == second:
            raise ValueError(
                f"axis={self.axis} and other={self.other} are the same axis of {specs['in']}; choose two different axes"
            )
        return Call("Transpose", (first, second))

    def channel_axis(self, axis: int) -> int:
        # Axes from the end are those of a sequence (N, A, B), the only inputs whose channels can be in two places.
        first, second = (number % 3 if number < 0 else number for number in (self.axis, self.other))
        return {first: second, second: first}.get(axis, axis)

    def brief(self) -> str:
        return f"{self.axis} ↔ {self.other}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        order = list(range(len(out.shape)))
        first, second = resolve_axis(self.axis, specs["in"]), resolve_axis(self.other, specs["in"], "other")
        order[first], order[second] = second, first
        return permuted(inputs.get("in"), order[1:])


class FlattenAxes(Layer):
    """Merges adjacent axes, such as (N, T, H, D) -> (N, T, H·D)."""

    group = "Shape"
    title = "Flatten axes"
    summary = "Merges adjacent axes into one and keeps the others"
    keywords = ("merge axes", "merge heads", "reshape", "view", "unroll", "time distributed")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html"
    is_linear = True

    first: Axis = Field(-2, description="First axis to merge, counted from 1 after the batch axis, or from -1 backward")
    last: Axis = Field(-1, description="Last axis to merge")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["sequence"]}),
            Example({}, {"in": SAMPLES["image"]}),
            Example({"first": 1, "last": 2}, {"in": SAMPLES["volume"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        first, last = resolve_axis(self.first, specs["in"], "first"), resolve_axis(self.last, specs["in"], "last")
        if first >= last:
            raise ValueError(f"axis {first} of {specs['in']} is not before axis {last}; swap them")
        return Call("nn.Flatten", (first, last))

    def brief(self) -> str:
        return f"{self.first} … {self.last}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)


class Squeeze(OneAxis, Layer):
    """Removes an axis of length 1, such as (N, T, 1) -> (N, T)."""

    group = "Shape"
    title = "Squeeze"
    summary = "Removes an axis of length 1"
    keywords = ("remove axis", "drop dimension", "reshape")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.squeeze.html"
    is_linear = True

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": TensorSpec((None, 5, 1))}),
            Example({"axis": 1}, {"in": TensorSpec((None, 1, 4, 3))}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if specs["in"].size(axis) != 1:
            raise ValueError(
                f"axis {axis} of {specs['in']} has the length {specs['in'].size(axis)}, but only an axis of length "
                "1 can be removed; use Select to keep one index of it"
            )
        return Call("Squeeze", (axis,))

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)


class Unsqueeze(OneAxis, Layer):
    """Inserts an axis of length 1, such as (N, D) -> (N, 1, D)."""

    group = "Shape"
    title = "Unsqueeze"
    summary = "Inserts an axis of length 1"
    keywords = ("add axis", "new dimension", "expand dims", "reshape")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.unsqueeze.html"
    is_linear = True

    axis: Axis = Field(
        1, description="Position of the new axis, counted from 1 after the batch axis, or -1 for the end"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"axis": -1}, {"in": SAMPLES["sequence"]}),
            Example({"axis": 2}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        # Positions count the new axis, so that -1 is the end, as in PyTorch.
        return Call("Unsqueeze", (resolve_axis(self.axis, TensorSpec((*specs["in"].shape, 1))),))

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return reshaped(inputs.get("in"), specs["in"].shape, out.shape)


class _Reduction(Layer):
    axis: int = Field(1, ge=1, le=4, description="Axis to reduce, counted from 1 after the batch axis")
    keep: bool = Field(False, description="Keep the axis with length 1")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence", "image", "volume")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.axis >= len(specs["in"].shape):
            raise ValueError(f"axis={self.axis} is not an axis of {specs['in']}")
        return Call(type(self).__name__, (self.axis,), {"keep": True} if self.keep else {})

    def brief(self) -> str:
        return f"axis {self.axis}"


class Mean(_Reduction):
    """The mean over one axis, such as (N, T, D) -> (N, D)."""

    group = "Shape"
    title = "Mean over an axis"
    summary = "The mean over one axis, such as the steps of a sequence"
    keywords = ("average", "pooling", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.mean.html"
    is_linear = True
    is_common = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return averaged([without(inputs.get("in"), self.axis, keep=self.keep)])


class Max(_Reduction):
    """The maximum over one axis, such as (N, T, D) -> (N, D)."""

    group = "Shape"
    title = "Max over an axis"
    summary = "The maximum over one axis, such as the steps of a sequence"
    keywords = ("maximum", "pooling", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.amax.html"
