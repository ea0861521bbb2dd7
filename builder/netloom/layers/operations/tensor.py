"""Layers that select, mask, convert and create tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite, prod
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.layer import SAMPLES, Call, Example, Layer, Literals, Port, TensorSpec
from netloom.layers.operations.operation import Length, broadcast, floats

Shape = Annotated[tuple[Length, ...], Field(strict=False, min_length=1, max_length=5)]
RELATIONS = {
    "<": "less",
    "<=": "less_equal",
    "==": "equal",
    "!=": "not_equal",
    ">=": "greater_equal",
    ">": "greater",
}


class Where(Layer):
    """a where the condition is not 0, b elsewhere."""

    group = "Tensor operation"
    title = "Where"
    summary = "Selects values of one input where a condition holds, and of another elsewhere"
    keywords = ("if", "choose", "condition", "switch", "select", "mask")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.where.html"

    @classmethod
    def examples(cls) -> list[Example]:
        sequence = SAMPLES["sequence"]
        conditions = (TensorSpec((None, 8, 16), "int"), TensorSpec((None, 8, 1), "int"))
        return [Example({}, {"condition": condition, "a": sequence, "b": sequence}, high=2) for condition in conditions]

    def inputs(self) -> tuple[Port, ...]:
        return Port("condition", doc="Condition: nonzero selects a, 0 selects b"), Port("a"), Port("b")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        broadcast([specs[port.name] for port in self.inputs()])
        if specs["a"].dtype != specs["b"].dtype:
            raise ValueError("one of a and b holds integers and the other real numbers; put a Cast before one of them")
        return Call("Where")


class Compare(Layer):
    """1 where a relation holds, 0 elsewhere."""

    group = "Tensor operation"
    title = "Compare"
    summary = "Compares values with a constant or a second input: 1 where the relation holds, 0 elsewhere"
    keywords = ("less", "greater", "equal", "threshold", "condition", "relation", "mask", "binary")
    url = "https://docs.pytorch.org/docs/stable/torch.html#comparison-ops"

    differentiable = False

    relation: Literal["<", "<=", "==", "!=", ">=", ">"] = Field(
        ">", description="Relation of the first value to the second"
    )
    value: float | None = Field(
        None, ge=-1e9, le=1e9, description="Value to compare with; empty: read from a second port"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        vector, tokens = SAMPLES["vector"], SAMPLES["tokens"]
        return [
            *(Example({"relation": name}, {"a": vector, "b": vector}) for name in RELATIONS),
            Example({"value": 0.5}, {"in": SAMPLES["image"]}),
            Example({"relation": "!=", "value": 0.0}, {"in": tokens}, high=3),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("a"), Port("b")) if self.value is None else (Port("in"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        broadcast([specs[port.name] for port in self.inputs()])
        return Call("Compare", (RELATIONS[self.relation], *(() if self.value is None else (self.value,))))

    def brief(self) -> str:
        return f"a {self.relation} b" if self.value is None else f"{self.relation} {self.value:g}"


class MaskFill(Layer):
    """x where the mask is not 0, `value` elsewhere, or vice versa."""

    group = "Tensor operation"
    title = "Masked fill"
    summary = "Replaces values where a mask applies, such as by a very low value before a softmax"
    keywords = ("masked fill", "padding", "attention mask", "ignore", "hide")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.masked_fill_.html"

    value: float = Field(-1e9, ge=-1e9, le=1e9, description="Value to fill in")
    where: Literal["mask is 0", "mask is not 0"] = Field("mask is 0", description="Values of the mask that are filled")

    @classmethod
    def examples(cls) -> list[Example]:
        per_step = {"in": SAMPLES["sequence"], "mask": TensorSpec((None, 8), "int")}
        per_feature = {"in": SAMPLES["sequence"], "mask": TensorSpec((None, 1, 16), "int")}
        return [
            Example({"value": 0.0}, per_step, high=2),
            Example({"value": -5.0, "where": "mask is not 0"}, per_feature, high=2),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("in"), Port("mask", doc="The same axes as the tensor, or only its leading ones")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        values, mask = specs["in"], specs["mask"]
        missing = len(values.shape) - len(mask.shape)
        # A mask (N, T) of steps applies to all features of (N, T, D): axes are added at the end, not at the front.
        sizes = (*mask.shape, *(1,) * missing)
        if missing < 0 or any(size not in (1, length) for size, length in zip(sizes, values.shape, strict=True)):
            raise ValueError(
                f"the mask {mask} does not fit {values}; its axes must match the leading axes of the tensor or have "
                "the length 1"
            )
        if values.dtype == "int" and not self.value.is_integer():
            raise ValueError(
                f"value={self.value:g} is not an integer, but the input holds integers; use an integer value"
            )
        return Call("MaskFill", (self.value,), {"where_zero": False} if self.where == "mask is not 0" else {})

    def brief(self) -> str:
        return f"{self.value:g}"


class ReplaceMissing(Layer):
    """x where it is not NaN, `value` elsewhere."""

    group = "Tensor operation"
    title = "Replace missing"
    summary = "Replaces missing values (NaN) by a constant"
    keywords = ("nan", "not a number", "impute", "nan to num", "empty", "fill")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nan_to_num.html"

    value: float = Field(0.0, ge=-1e9, le=1e9, description="Value to fill in")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        return Call("ReplaceMissing", (self.value,))

    def brief(self) -> str:
        return f"{self.value:g}"


class CausalMask(Layer):
    """(N, T, …) -> (N, T, T), 1 where step t (row) may attend to step s (column), s ≤ t, 0 elsewhere."""

    group = "Tensor operation"
    title = "Causal mask"
    summary = "A mask of the steps that each step may attend to: itself and earlier steps"
    keywords = ("triangle", "tril", "autoregressive", "future", "sliding window", "attention mask")
    url = "https://arxiv.org/abs/1706.03762"

    differentiable = False  # only the shape of the input is used
    is_linear = True

    window: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Number of steps that each step attends to, including itself; empty: all earlier steps",
    )

    @classmethod
    def examples(cls) -> list[Example]:
        return [Example({}, {"in": SAMPLES["tokens"]}), Example({"window": 3}, {"in": SAMPLES["sequence"]})]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence", "tokens", "vector"), "A sequence; only its length is used"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("CausalMask", () if self.window is None else (self.window,))

    def brief(self) -> str:
        return "" if self.window is None else f"{self.window} steps"


class PaddingMask(Layer):
    """(N, T) -> (N, T), 0 for padding tokens, 1 for all others."""

    group = "Tensor operation"
    title = "Padding mask"
    summary = "A mask of the tokens: 1 for real tokens, 0 for padding"
    keywords = ("key padding mask", "attention mask", "pad", "length", "ignore")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html"

    differentiable = False
    reads_only_padding = True
    is_linear = True

    padding: int = Field(0, ge=0, le=10_000_000, description="Padding token")

    @classmethod
    def examples(cls) -> list[Example]:
        tokens = {"in": SAMPLES["tokens"]}
        return [Example({}, tokens, high=3), Example({"padding": 2}, tokens, high=3)]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("tokens",), "Token ids"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("PaddingMask", (self.padding,) if self.padding else ())


class Cast(Layer):
    """Converts integers to real numbers, or truncates real numbers to integers: 2.9 -> 2, -2.9 -> -2."""

    group = "Tensor operation"
    title = "Cast"
    summary = "Converts integers to real numbers, or real numbers to integers, which have no gradient"
    keywords = ("convert", "type", "dtype", "int", "float", "truncate", "astype")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html"

    differentiable = False

    to: Literal["float", "int"] = Field("float", description="Type to convert to")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["tokens"]}),
            Example({"to": "int"}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Cast", (self.to,))

    def brief(self) -> str:
        return f"to {self.to}"


class OneHot(Layer):
    """Integers (N, …) -> (N, …, classes), 1 at the index x and 0 elsewhere."""

    group = "Tensor operation"
    title = "One-hot"
    summary = "One-hot encoding of integers"
    keywords = ("categorical", "indicator", "dummy", "tokens", "class")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html"

    differentiable = False

    classes: int = Field(
        10, ge=1, le=1_000_000, description="Number of classes, counted from 0; other integers become all zeros"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"classes": 5}, {"in": SAMPLES["tokens"]}, high=5),
            Example({"classes": 3}, {"in": TensorSpec((None, 2, 4), "int")}, high=4),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["in"].dtype != "int":
            raise ValueError(
                "one-hot encoding needs integers, but the input holds real numbers; put a Cast to int before it"
            )
        return Call("OneHot", (self.classes,))

    def brief(self) -> str:
        return f"{self.classes} classes"


# Well within float32 and beyond the values of masks, such as -1e10
MAX_CONSTANT = 1e30
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,2})?")


def _numbers(text: str) -> str:
    parts = [part.strip() for part in text.split(",")]
    if not all(
        _NUMBER.fullmatch(part) and isfinite(float(part)) and abs(float(part)) <= MAX_CONSTANT for part in parts
    ):
        raise ValueError("values must be numbers up to 1e30 separated by commas, such as 0.5, 1, -2e-3")
    return ", ".join(parts)


class Constant(Layer):
    """(N, …) -> (N, *shape), the same constant values for each example."""

    group = "Tensor operation"
    title = "Constant"
    summary = "Constant values, the same for each example; they are not trained"
    keywords = ("numbers", "literal", "fixed", "filter", "weights", "kernel")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.tensor.html"

    differentiable = False  # only the batch size of the input is used
    is_linear = True

    values: Annotated[str, AfterValidator(_numbers)] = Field(
        "0", min_length=1, max_length=20_000, description="Numbers separated by commas, or one number for all values"
    )
    shape: Shape = Field((1,), description="Shape without the batch axis")

    @model_validator(mode="after")
    def _filled(self) -> Constant:
        count, size = self.values.count(",") + 1, prod(self.shape)
        if count not in (1, size):
            raise FieldValueError("values", f"must have one number, or {size} for this shape", count)
        return self

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"values": "0.5, -1, 2e-3, 4, 5, 6", "shape": [2, 3]}, {"in": SAMPLES["vector"]}),
            Example({"values": "1.5", "shape": [4, 1, 2]}, {"in": SAMPLES["tokens"]}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", doc="A tensor; only its batch size is used"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Constant", (self.shape, *(float(part) for part in self.values.split(","))))

    def brief(self) -> str:
        return self.values if len(self.values) <= 16 else f"N, {', '.join(map(str, self.shape))}"


class Learned(Layer):
    """(N, …) -> (N, *shape), the same learned values for each example."""

    group = "Tensor operation"
    title = "Learned tensor"
    summary = "Trainable values, the same for each example, such as queries or position embeddings"
    keywords = ("parameter", "weight", "bias", "class token", "queries", "positional table", "prompt", "prototype")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html"
    is_linear = True

    shape: Shape = Field((16,), description="Shape without the batch axis")
    start: Literal["normal", "uniform", "zeros", "ones"] = Field("normal", description="Initial values")
    spread: float = Field(
        0.02, ge=0, le=1_000, description="Standard deviation of a normal distribution, or limit ± of a uniform one"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        tokens = {"in": SAMPLES["tokens"]}  # only the batch size of the input is used, so it gets no gradient
        return [
            Example({"shape": [4, 6]}, tokens),
            *(Example({"shape": [3], "start": start}, tokens) for start in ("uniform", "zeros", "ones")),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", doc="A tensor; only its batch size is used"),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options: dict[str, Literals] = {} if self.start == "normal" else {"start": self.start}
        if self.start in ("normal", "uniform") and self.spread != 0.02:
            options["spread"] = self.spread
        return Call("Learned", (self.shape,), options)

    def brief(self) -> str:
        return "N, " + ", ".join(str(size) for size in self.shape)


class ConcatenateToken(Layer):
    """(N, T, D) -> (N, T + count, D)."""

    group = "Tensor operation"
    title = "Class token"
    summary = "Adds learned tokens before or after a sequence, which gather information about the whole sequence"
    keywords = ("cls", "register", "prompt", "prefix", "learned", "concatenate", "vision transformer", "bert")
    url = "https://arxiv.org/abs/2010.11929"
    is_linear = True

    count: int = Field(1, ge=1, le=10_000, description="Number of tokens")
    position: Literal["front", "back"] = Field("front", description="Before or after the sequence")

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = {"in": SAMPLES["sequence"]}
        return [Example({}, inputs), Example({"count": 3, "position": "back"}, inputs)]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence",), "(N, T, D)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("sequence",)),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        options = {"front": False} if self.position == "back" else {}
        return Call("ConcatenateToken", (self.count, specs["in"].size(2)), options)

    def brief(self) -> str:
        return f"{self.count} at the {self.position}"
