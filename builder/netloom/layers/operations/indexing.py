"""Layers that split, slice, index, gather and scatter tensors."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase
from typing import Annotated

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec
from netloom.layers.operations.operation import Axis, OneAxis, listed, resolve_axis
from netloom.layers.probability import Probabilities, without

_AXIS = "Axis, counted from 1 after the batch axis, or from -1 for the last"
Part = Annotated[int, Field(ge=-1, le=1_000_000)]
Index = Annotated[int, Field(ge=-1_000_000, le=1_000_000)]


def _parts(count: int) -> tuple[Port, ...]:
    return tuple(Port(letter, doc=f"Part {number}") for number, letter in enumerate(ascii_lowercase[:count], 1))


def _place_in(index: int, length: int, spec: TensorSpec, axis: int) -> int:
    """The non-negative index along an axis; -1 is the last."""
    if not -length <= index < length:
        raise ValueError(
            f"index {index} is out of range for axis {axis} of {spec}, which has the length {length}; choose 0 to "
            f"{length - 1}, or -1 for the last"
        )
    return index % length


class Split(OneAxis, Layer):
    """Parts of given sizes along one axis, each at its own port, such as (N, 5) -> (N, 2) and (N, 3)."""

    group = "Tensor operation"
    title = "Split"
    summary = "Splits one axis into parts of given sizes"
    keywords = ("cut", "divide", "separate", "parts", "branches")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.split.html"
    is_linear = True

    sizes: Annotated[tuple[Part, ...], Field(strict=False, min_length=2, max_length=16)] = Field(
        (1, -1), description="Length of each part; one can be -1, which is inferred"
    )

    @model_validator(mode="after")
    def _fillable(self) -> Split:
        if self.sizes.count(-1) > 1 or 0 in self.sizes:
            raise FieldValueError("sizes", "must be positive numbers, except for one -1", self.sizes)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"sizes": [4, 8]}, {"in": SAMPLES["vector"]}),
            Example({"sizes": [1, -1, 3], "axis": 1}, {"in": SAMPLES["sequence"]}),
        ]

    def outputs(self) -> tuple[Port, ...]:
        return _parts(len(self.sizes))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        length, total = specs["in"].size(axis), sum(size for size in self.sizes if size > 0)
        sizes = tuple(length - total if size == -1 else size for size in self.sizes)
        if sum(sizes) != length or min(sizes) < 1:
            raise ValueError(
                f"sizes={', '.join(map(str, self.sizes))} do not sum to the length {length} of axis {axis}; change "
                "a size, or set one to -1"
            )
        return Call("Split", (sizes, axis))

    def brief(self) -> str:
        return f"{' + '.join(map(str, self.sizes))}, axis {self.axis}"


class Chunk(OneAxis, Layer):
    """Equal parts along one axis, each at its own port, such as (N, 6) -> (N, 3) and (N, 3)."""

    group = "Tensor operation"
    title = "Chunk"
    summary = "Splits one axis into equal parts"
    keywords = ("split", "halves", "cut", "divide", "gate", "query key value")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.chunk.html"
    is_linear = True

    count: int = Field(2, ge=2, le=16, description="Number of equal parts")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"count": 3}, {"in": SAMPLES["vector"]}),
            Example({"axis": 1}, {"in": SAMPLES["sequence"]}),
        ]

    def outputs(self) -> tuple[Port, ...]:
        return _parts(self.count)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        length = specs["in"].size(axis)
        # torch.chunk would shorten the last part or return fewer, but every port needs a tensor.
        if length % self.count:
            raise ValueError(
                f"axis {axis} of length {length} cannot be split into {self.count} equal parts; choose a count that "
                "divides it, or use Split with custom sizes"
            )
        return Call("Split", ((length // self.count,) * self.count, axis))

    def brief(self) -> str:
        return f"{self.count} parts, axis {self.axis}"


class Slice(OneAxis, Layer):
    """x[start:end:step] along one axis, such as (N, T, D) -> (N, T', D)."""

    group = "Tensor operation"
    title = "Slice"
    summary = "A slice of one axis, from start to end, optionally with a step"
    keywords = ("crop", "cut", "range", "narrow", "subsample", "stride")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.narrow.html"
    is_linear = True

    axis: Axis = Field(1, description=_AXIS)
    start: int = Field(
        0,
        ge=-1_000_000,
        le=1_000_000,
        description="First index, counted from 0, or from -1 backward",
    )
    end: int | None = Field(
        None, ge=-1_000_000, le=1_000_000, description="Index after the last; empty: up to the end of the axis"
    )
    step: int = Field(1, ge=1, le=1_000_000, description="Step: 1 takes every index, 2 every second")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"start": 2}, {"in": SAMPLES["vector"]}),
            Example({"start": -5, "end": -1, "step": 2}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -1, "end": 3}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        length = specs["in"].size(axis)
        # range applies the rules of Python for negative and too large bounds, which the module then need not know.
        positions = range(length)[self.start : self.end : self.step]
        if not positions:
            end = length if self.end is None else self.end
            raise ValueError(
                f"the slice from {self.start} to {end} of axis {axis}, which has the length {length}, is empty; "
                "choose an end after the start"
            )
        return Call("Slice", (axis, positions[0], positions[-1] + 1), {"step": self.step} if self.step > 1 else {})

    def brief(self) -> str:
        step = f":{self.step}" if self.step > 1 else ""
        return f"{self.start}:{'' if self.end is None else self.end}{step}, axis {self.axis}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return without(inputs.get("in"), resolve_axis(self.axis, specs["in"]), keep=True)


class Select(OneAxis, Layer):
    """One index of an axis, which is removed, such as (N, T, D) -> (N, D)."""

    group = "Tensor operation"
    title = "Select"
    summary = "One index of an axis, such as the last step of a sequence or its class token"
    keywords = ("index", "pick", "last step", "first token", "cls", "take")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.select.html"
    is_linear = True

    axis: Axis = Field(1, description=_AXIS)
    index: int = Field(0, ge=-1_000_000, le=1_000_000, description="Index, counted from 0; -1 is the last")
    keep: bool = Field(False, description="Keep the axis with length 1")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"index": -1}, {"in": SAMPLES["sequence"]}),
            Example({"axis": -1, "index": 2, "keep": True}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        index = _place_in(self.index, specs["in"].size(axis), specs["in"], axis)
        return Call("Select", (axis, index), {"keep": True} if self.keep else {})

    def brief(self) -> str:
        return f"{self.index}, axis {self.axis}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return without(inputs.get("in"), resolve_axis(self.axis, specs["in"]), keep=self.keep)


class IndexSelect(OneAxis, Layer):
    """Several indices of an axis, in the given order."""

    group = "Tensor operation"
    title = "Index select"
    summary = "Selects given indices of an axis, in the given order"
    keywords = ("index select", "pick", "columns", "features", "channels", "reorder", "take")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.index_select.html"
    is_linear = True

    indices: Annotated[tuple[Index, ...], Field(strict=False, min_length=1, max_length=10_000)] = Field(
        (0,), description="Indices, counted from 0; -1 is the last"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"indices": [3, 0, -1, 3]}, {"in": SAMPLES["vector"]}),
            Example({"indices": [5, 2], "axis": 1}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        length = specs["in"].size(axis)
        return Call("IndexSelect", (axis, tuple(_place_in(index, length, specs["in"], axis) for index in self.indices)))

    def brief(self) -> str:
        indices = ", ".join(map(str, self.indices[:4])) + (" …" if len(self.indices) > 4 else "")
        return f"{indices}, axis {self.axis}"


class Gather(OneAxis, Layer):
    """x at the given indices of one axis, such as (N, T, D) and indices (N, K) -> (N, K, D)."""

    group = "Tensor operation"
    title = "Gather"
    summary = "Selects the indices of an axis that come in at a second port, separately for each example"
    keywords = ("index", "lookup", "pick", "pointer", "batched", "take")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.gather.html"

    axis: Axis = Field(
        1, description="Axis to index, counted from 1 after the batch axis; the axes of the indices replace it"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        some, pairs = TensorSpec((None, 5), "int"), TensorSpec((None, 2, 3), "int")
        return [
            Example({}, {"in": SAMPLES["sequence"], "indices": some}, high=8),
            Example({"axis": -1}, {"in": SAMPLES["vector"], "indices": some}, high=12),
            Example({"axis": 2}, {"in": TensorSpec((None, 3, 4, 5)), "indices": pairs}, high=4),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("in"), Port("indices", doc="Indices from 0, integers (N, K)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        _whole(specs["indices"])
        return Call("Gather", (axis,))


class GatherElements(OneAxis, Layer):
    """yₙⱼ = xₙ at the index iₙⱼ along one axis, elementwise, such as (N, T, D) and (N, K, D) -> (N, K, D)."""

    group = "Tensor operation"
    title = "Gather elements"
    summary = "Gathers single values along one axis, at indices with the same number of axes as the tensor"
    keywords = ("index", "pick", "take along axis", "action value", "sort by")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.gather.html"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"], "indices": TensorSpec((None, 1), "int")}, high=12),
            Example({"axis": 1}, {"in": SAMPLES["sequence"], "indices": TensorSpec((None, 3, 16), "int")}, high=8),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("in"), Port("indices", doc="Indices from 0, integers with the same number of axes as the tensor")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        values, indices = specs["in"], specs["indices"]
        axis = resolve_axis(self.axis, values)
        _whole(indices)
        other_axes = {(len(spec.shape), spec.shape[:axis], spec.shape[axis + 1 :]) for spec in (values, indices)}
        if len(other_axes) > 1:
            raise ValueError(
                f"{listed((values, indices))} must be equal in all axes except axis {axis}; to gather whole slices, "
                "use Gather"
            )
        return Call("GatherElements", (axis,))


class Scatter(OneAxis, Layer):
    """yₙⱼ = xₙᵢ where the index of xₙᵢ is j, 0 elsewhere, such as (N, K) and indices (N, K) -> (N, length)."""

    group = "Tensor operation"
    title = "Scatter"
    summary = "Writes values along one axis at given indices of a tensor of zeros; the reverse of Gather elements"
    keywords = ("index", "one hot", "sparse", "put", "mixture of experts", "routing", "unpool")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.scatter.html"

    length: int = Field(8, ge=1, le=1_000_000, description="New length of the axis; every index must be less")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example(
                {"length": 20},
                {"in": SAMPLES["vector"], "indices": TensorSpec(SAMPLES["vector"].shape, "int")},
                high=20,
            ),
            Example(
                {"axis": 1, "length": 9},
                {"in": SAMPLES["sequence"], "indices": TensorSpec(SAMPLES["sequence"].shape, "int")},
                high=9,
            ),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("in"), Port("indices", doc="Indices from 0, an integer for each value")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        values, indices = specs["in"], specs["indices"]
        _whole(indices)
        if values.shape != indices.shape:
            raise ValueError(f"{listed((values, indices))} must have the same shape, as each value needs an index")
        return Call("Scatter", (resolve_axis(self.axis, values), self.length))

    def brief(self) -> str:
        return f"axis {self.axis}, to {self.length}"


def _whole(indices: TensorSpec) -> None:
    if indices.dtype != "int":
        raise ValueError(
            f"indices {indices} are real numbers, but indices must be integers; put a Cast to int before them"
        )
