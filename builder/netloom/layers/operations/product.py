"""Products, similarities and distances of tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from netloom.layers.layer import SAMPLES, Call, Example, Layer, Port, TensorSpec
from netloom.layers.operations.operation import OneAxis, broadcast, floats, listed, resolve_axis


class MatMul(Layer):
    """(N, …, I, K) and (N, …, K, J) -> (N, …, I, J); a vector (N, K) is one row of a, or one column of b."""

    group = "Tensor operation"
    title = "Matrix product"
    summary = "Multiplies the matrices of two inputs, separately for each example"
    keywords = ("matmul", "bmm", "batched", "scores", "attention", "dot", "matrix multiplication")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.matmul.html"

    transpose_a: bool = Field(False, description="Transpose the last two axes of a first")
    transpose_b: bool = Field(False, description="Transpose the last two axes of b first, as for queries times keys")
    scaled: bool = Field(False, description="Divide by √K, where K is the length of the summed axis")

    @classmethod
    def examples(cls) -> list[Example]:
        left, right = TensorSpec((None, 4, 6)), TensorSpec((None, 6, 5))
        return [
            Example({}, {"a": left, "b": right}),
            Example({"transpose_b": True, "scaled": True}, {"a": left, "b": TensorSpec((None, 5, 6))}),
            Example({"transpose_a": True}, {"a": TensorSpec((None, 6, 4)), "b": right}),
            Example({}, {"a": TensorSpec((None, 2, 4, 6)), "b": TensorSpec((None, 2, 6, 3))}),
            Example({}, {"a": left, "b": TensorSpec((None, 6))}),
            Example({"scaled": True}, {"a": TensorSpec((None, 6)), "b": right}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("a", doc="(N, …, I, K)"), Port("b", doc="(N, …, K, J)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        a, b = specs["a"], specs["b"]
        ranks = len(a.shape), len(b.shape)
        if ranks == (2, 2) or min(ranks) < 2:
            raise ValueError(
                f"{listed((a, b))} are not matrices; one of them needs two axes after N, such as (N, I, K). To "
                "multiply vectors, use Dot product"
            )
        # torch.matmul would align N of the smaller tensor with another axis of the larger one.
        if ranks[0] != ranks[1] and 2 not in ranks:
            raise ValueError(f"{listed((a, b))} differ in their number of axes; add an axis with Unsqueeze")
        if ranks[0] == ranks[1]:
            broadcast([TensorSpec(a.shape[:-2]), TensorSpec(b.shape[:-2])])
        self._inner(a, b)
        options = {"transpose_a": self.transpose_a, "transpose_b": self.transpose_b, "scaled": self.scaled}
        return Call("MatMul", (), {key: True for key, value in options.items() if value})

    def _inner(self, a: TensorSpec, b: TensorSpec) -> None:
        if 2 in (len(a.shape), len(b.shape)) and max(len(a.shape), len(b.shape)) > 3:
            raise ValueError(f"a vector needs a matrix (N, I, K), received {listed((a, b))}; use Unsqueeze")
        across = -2 if self.transpose_a and len(a.shape) > 2 else -1
        down = -1 if self.transpose_b or len(b.shape) == 2 else -2
        if a.size(across) != b.size(down):
            raise ValueError(
                f"a has {a.size(across)} columns and b has {b.size(down)} rows; both must be equal, so change a "
                "width or transpose one of them"
            )

    def brief(self) -> str:
        names = "aᵀ" if self.transpose_a else "a", "bᵀ" if self.transpose_b else "b"
        return f"{names[0]} · {names[1]}{' / √K' if self.scaled else ''}"


_TERM = r"[A-Za-z]{1,8}"
_EQUATION = re.compile(rf"{_TERM}(,{_TERM}){{0,3}}->{_TERM}")


def _equation(text: str) -> str:
    text = text.replace(" ", "")
    if not _EQUATION.fullmatch(text):
        raise ValueError(
            "an equation needs one to four groups of letters, an arrow and one more group, such as nij,njk->nik"
        )
    operands, _, result = text.partition("->")
    terms = operands.split(",")
    # A sum over the batch axis would mix the examples of a batch.
    batch = result[0]
    if any(term[0] != batch or batch in term[1:] for term in (*terms, result)):
        raise ValueError("the first letter is the batch axis: every group must begin with it and must not repeat it")
    if len(set(result)) < len(result):
        raise ValueError("the group after the arrow must not repeat a letter")
    missing = sorted(set(result) - set(operands))
    if missing:
        raise ValueError(f"the letter {missing[0]} after the arrow does not occur in a group before it")
    return text


class Einsum(Layer):
    """Products and sums by an equation, such as nij,njk->nik for (N, I, J) and (N, J, K) -> (N, I, K)."""

    group = "Tensor operation"
    title = "Einsum"
    summary = "Products and sums over axes in Einstein notation"
    keywords = ("einstein", "summation", "tensor product", "contraction", "matmul", "bilinear", "trace", "diagonal")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.einsum.html"

    equation: Annotated[str, AfterValidator(_equation)] = Field(
        "nij,njk->nik",
        min_length=4,
        max_length=64,
        description="One group of letters per input, one letter per axis; each group begins with n, the batch axis. "
        "Letters that are missing after the arrow are summed over",
    )

    @classmethod
    def examples(cls) -> list[Example]:
        a, b, c = TensorSpec((None, 4, 6)), TensorSpec((None, 6, 5)), TensorSpec((None, 5))
        return [
            Example({"equation": "nij,njk->nik"}, {"a": a, "b": b}),
            Example({"equation": "nij->nji"}, {"in": a}),
            Example({"equation": "nii->ni"}, {"in": TensorSpec((None, 4, 4))}),
            Example({"equation": "nij,njk,nk->ni"}, {"a": a, "b": b, "c": c}),
            Example({"equation": "bij,bjk,bk,bi->b"}, {"a": a, "b": b, "c": c, "d": TensorSpec((None, 4))}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        terms = self._terms()
        names = "abcd" if len(terms) > 1 else ("in",)
        return tuple(Port(name, doc=", ".join(term)) for name, term in zip(names, terms, strict=False))

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        sizes: dict[str, int] = {}
        for port, term in zip(self.inputs(), self._terms(), strict=True):
            spec = specs[port.name]
            if len(spec.shape) != len(term):
                raise ValueError(
                    f"{term} names {len(term)} axes, but input {port.name} is {spec} with {len(spec.shape)}; use "
                    "one letter for each axis"
                )
            for axis, letter in enumerate(term[1:], 1):
                size = spec.size(axis)
                if sizes.setdefault(letter, size) != size:
                    raise ValueError(
                        f"the letter {letter} has the lengths {sizes[letter]} and {size}; equal letters need equal "
                        "lengths"
                    )
        return Call("Einsum", (self.equation,))

    def brief(self) -> str:
        return self.equation

    def _terms(self) -> list[str]:
        return self.equation.partition("->")[0].split(",")


class OuterProduct(Layer):
    """(N, …, A) and (N, …, B) -> (N, …, A, B), each value of a times each value of b."""

    group = "Tensor operation"
    title = "Outer product"
    summary = "The product of each feature of one input with each feature of the other"
    keywords = ("bilinear", "crossing", "interaction", "tensor product", "pairs")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.outer.html"

    @classmethod
    def examples(cls) -> list[Example]:
        return [
            Example({}, {"a": TensorSpec((None, 4)), "b": TensorSpec((None, 5))}),
            Example({}, {"a": TensorSpec((None, 3, 4)), "b": TensorSpec((None, 3, 5))}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("a", doc="(N, …, A)"), Port("b", doc="(N, …, B)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        a, b = specs["a"], specs["b"]
        if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[:-1] != b.shape[:-1]:
            raise ValueError(f"{listed((a, b))} must have at least two axes and be equal in all axes except the last")
        return Call("OuterProduct")


class _Comparison(OneAxis, Layer):
    keep: bool = Field(False, description="Keep the axis with length 1")

    @classmethod
    def examples(cls) -> list[Example]:
        image = TensorSpec((None, 3, 4, 5))
        return [
            Example({}, {"a": SAMPLES["vector"], "b": SAMPLES["vector"]}),
            Example({"keep": True}, {"a": SAMPLES["sequence"], "b": SAMPLES["sequence"]}),
            Example({"axis": 1}, {"a": image, "b": image}),
        ]

    def inputs(self) -> tuple[Port, ...]:
        return Port("a"), Port("b")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)
        broadcast([specs["a"], specs["b"]])
        options = {"keep": True} if self.keep else {}
        return Call(type(self).__name__, (resolve_axis(self.axis, specs["a"]),), options)


class Dot(_Comparison):
    """Σ aᵢbᵢ over one axis, such as (N, D) and (N, D) -> (N)."""

    group = "Tensor operation"
    title = "Dot product"
    summary = "The dot product of two inputs over one axis"
    keywords = ("inner product", "similarity", "scalar product", "matching", "two towers")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.linalg.vecdot.html"


class CosineSimilarity(_Comparison):
    """a·b / (|a| |b|) over one axis, such as (N, D) and (N, D) -> (N)."""

    group = "Tensor operation"
    title = "Cosine similarity"
    summary = "The cosine of the angle between two inputs: 1 for the same direction, -1 for the opposite"
    keywords = ("angle", "similarity", "matching", "siamese", "two towers", "contrastive")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html"


class DistanceMatrix(Layer):
    """(N, A, D) and (N, B, D) -> (N, A, B), the distance of each step of a from each step of b."""

    group = "Tensor operation"
    title = "Distance matrix"
    summary = "The distances between each step of one sequence and each step of another"
    keywords = ("cdist", "pairwise", "euclidean", "kernel", "rbf", "prototypes", "nearest")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cdist.html"

    squared: bool = Field(False, description="Return squared distances, which are differentiable at 0")
    p: float = Field(
        2.0, ge=1, le=100, description="Order of the norm: 1 is the Manhattan distance, 2 the Euclidean distance"
    )

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = {"a": TensorSpec((None, 4, 6)), "b": TensorSpec((None, 3, 6))}
        return [Example(params, inputs) for params in ({}, {"squared": True}, {"p": 1.0}, {"squared": True, "p": 3.0})]

    def inputs(self) -> tuple[Port, ...]:
        return Port("a", ("sequence",), "(N, A, D)"), Port("b", ("sequence",), "(N, B, D)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if specs["a"].size(2) != specs["b"].size(2):
            raise ValueError(f"{listed((specs['a'], specs['b']))} must be equal in the last axis (features)")
        return Call("DistanceMatrix", (), self.non_defaults("squared", "p"))

    def brief(self) -> str:
        return "" if self.p == 2 else f"p = {self.p:g}"
