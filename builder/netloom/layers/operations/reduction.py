"""Reductions over axes, and layers that rank or sort values along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, Literals, Port, TensorSpec
from netloom.layers.operations.operation import Axes, OneAxis, floats, places, resolve_axis


class _Reduction(Layer):
    real: ClassVar[bool] = True  # whether integers are refused

    axes: Axes = Field(
        (-1,), description="Axes to reduce, counted from 1 after the batch axis, or from -1 for the last"
    )
    keep: bool = Field(False, description="Keep the axes with length 1")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"axes": [1]}, {"in": SAMPLES["sequence"]}),
            Example({"axes": [-1, 2], "keep": True}, {"in": TensorSpec((None, 3, 4, 2))}),
            Example({"axes": [1, 2, 3]}, {"in": TensorSpec((None, 3, 2, 2))}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.real:
            floats(specs)
        options: dict[str, Literals] = dict(self._options(specs["in"]))
        if self.keep:
            options["keep"] = True
        return Call(type(self).__name__, (places(self.axes, specs["in"]),), options)

    def brief(self) -> str:
        word = "axes" if len(self.axes) > 1 else "axis"
        return f"{word} {', '.join(str(axis) for axis in self.axes)}"

    def _options(self, spec: TensorSpec) -> Mapping[str, Literals]:
        return {}


class Sum(_Reduction):
    """Σx over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Sum over axes"
    summary = "The sum over one or more axes"
    keywords = ("total", "reduce", "add up", "pool")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.sum.html"

    real = False
    is_linear = True


class Min(_Reduction):
    """The minimum over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Min over axes"
    summary = "The minimum over one or more axes"
    keywords = ("minimum", "least", "reduce", "pool", "amin")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.amin.html"

    real = False


class Prod(_Reduction):
    """∏x over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Product over axes"
    summary = "The product over one or more axes"
    keywords = ("multiply", "reduce", "prod")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.prod.html"

    real = False


class LogSumExp(_Reduction):
    """log Σeˣ over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "LogSumExp over axes"
    summary = "A smooth maximum over one or more axes, computed without overflow"
    keywords = ("softmax", "soft maximum", "partition", "energy", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html"


class _Spread(_Reduction):
    unbiased: bool = Field(False, description="Divide by n - 1 instead of n (Bessel's correction)")

    def _options(self, spec: TensorSpec) -> Mapping[str, Literals]:
        if not self.unbiased:
            return {}
        if all(spec.size(axis) == 1 for axis in places(self.axes, spec)):
            raise ValueError("the unbiased estimate needs at least two values; turn unbiased off or choose other axes")
        return {"unbiased": True}

    @classmethod
    def examples(cls) -> list[Example]:
        return [*super().examples(), Example({"unbiased": True}, {"in": SAMPLES["sequence"]})]


class Var(_Spread):
    """The mean of (x − mean)² over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Variance over axes"
    summary = "The variance over one or more axes"
    keywords = ("var", "spread", "statistics", "reduce")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.var.html"


class Std(_Spread):
    """√ of the mean of (x − mean)² over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Standard deviation over axes"
    summary = "The standard deviation over one or more axes"
    keywords = ("std", "spread", "deviation", "statistics", "reduce", "minibatch discrimination")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.std.html"


class Norm(_Reduction):
    """Σ|x|, √Σx² or max |x| over one or several axes, such as (N, T, D) -> (N, T)."""

    group = "Tensor operation"
    title = "Norm over axes"
    summary = "The norm of the vectors along one or more axes"
    keywords = ("length", "magnitude", "euclidean", "l1", "l2", "reduce", "capsule")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html"

    order: Literal["L1", "L2", "max"] = Field(
        "L2", description="Order of the norm: sum of absolute values, Euclidean norm, or maximum"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        orders = [Example({"order": order}, {"in": SAMPLES["image"]}) for order in ("L1", "max")]
        return [*super().examples(), *orders]

    def _options(self, spec: TensorSpec) -> Mapping[str, Literals]:
        return {} if self.order == "L2" else {"order": self.order}

    def brief(self) -> str:
        return f"{self.order}, {super().brief()}"


class _Masked(Layer):
    @classmethod
    def examples(cls) -> list[Example]:
        mask = TensorSpec((None, 8), "int")
        return [
            Example({}, {"in": SAMPLES["sequence"], "mask": mask}, high=2),
            Example({}, {"in": TensorSpec((None, 8, 2, 3)), "mask": mask}, high=2),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("in", doc="(N, T, …)"), Port("mask", doc="(N, T), nonzero for the steps to include")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        values, mask = specs["in"], specs["mask"]
        floats({"in": values})
        if len(mask.shape) != 2 or values.shape[:2] != mask.shape:
            raise ValueError(f"the mask of {values} must be {TensorSpec(values.shape[:2])}, received {mask}")
        return Call(type(self).__name__)


class MaskedMean(_Masked):
    """Σ over t of maskₜxₜ / Σ maskₜ, (N, T, …) and a mask (N, T) -> (N, …); 0 if the mask selects no step."""

    group = "Tensor operation"
    title = "Masked mean"
    summary = "The mean over the steps that a mask selects, such as steps without padding"
    keywords = ("average", "pooling", "mask", "padding", "sentence embedding")
    url = "https://arxiv.org/abs/1908.10084"


class MaskedMax(_Masked):
    """The maximum over the t with maskₜ ≠ 0, (N, T, …) and a mask (N, T) -> (N, …); 0 if the mask selects no step."""

    group = "Tensor operation"
    title = "Masked max"
    summary = "The maximum over the steps that a mask selects, such as steps without padding"
    keywords = ("maximum", "pooling", "mask", "padding", "sentence embedding")
    url = "https://arxiv.org/abs/1908.10084"


class _Choice(OneAxis, Layer):
    differentiable = False

    keep: bool = Field(False, description="Keep the axis with length 1")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"axis": 1}, {"in": SAMPLES["sequence"]}),
            Example({"axis": 2, "keep": True}, {"in": SAMPLES["image"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(type(self).__name__, (resolve_axis(self.axis, specs["in"]),), {"keep": True} if self.keep else {})


class ArgMax(_Choice):
    """The index of the maximum along one axis, such as (N, D) -> (N)."""

    group = "Tensor operation"
    title = "Argmax"
    summary = "The index of the maximum along one axis, an integer; has no gradient"
    keywords = ("argmax", "index", "winner", "class", "prediction")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.argmax.html"


class ArgMin(_Choice):
    """The index of the minimum along one axis, such as (N, D) -> (N)."""

    group = "Tensor operation"
    title = "Argmin"
    summary = "The index of the minimum along one axis, an integer; has no gradient"
    keywords = ("argmin", "index", "nearest", "codebook")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.argmin.html"


class _Ranking(OneAxis, Layer):
    differentiable = False  # the values have a gradient, their indices do not

    def outputs(self) -> tuple[Port, ...]:
        return Port("values", doc="Values"), Port("indices", doc="Indices from 0, integers")


class TopK(_Ranking):
    """The k largest values along one axis in descending order, and their indices: (N, D) -> (N, k) and (N, k)."""

    group = "Tensor operation"
    title = "Top k"
    summary = "The k largest or smallest values along one axis and their indices"
    keywords = ("topk", "best", "greatest", "k-max pooling", "beam", "routing")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.topk.html"

    k: int = Field(1, ge=1, le=1_000_000, description="Number of values")
    largest: bool = Field(True, description="Return the largest values instead of the smallest")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({"k": 3}, {"in": SAMPLES["vector"]}),
            Example({"k": 2, "axis": 1, "largest": False}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = resolve_axis(self.axis, specs["in"])
        if self.k > specs["in"].size(axis):
            raise ValueError(f"k={self.k} is more than the length {specs['in'].size(axis)} of axis {axis}; lower k")
        return Call("TopK", (self.k, axis), {} if self.largest else {"largest": False})

    def brief(self) -> str:
        return f"k {self.k}, axis {self.axis}"


class Sort(_Ranking):
    """The sorted values along one axis and their original indices, both of the shape of x."""

    group = "Tensor operation"
    title = "Sort"
    summary = "The sorted values along one axis and their original indices"
    keywords = ("order", "rank", "argsort", "sorted")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.sort.html"

    descending: bool = Field(False, description="Sort in descending order")

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"in": SAMPLES["vector"]}),
            Example({"axis": 1, "descending": True}, {"in": SAMPLES["sequence"]}),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("Sort", (resolve_axis(self.axis, specs["in"]),), {"descending": True} if self.descending else {})
