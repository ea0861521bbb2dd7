"""Layers that merge branches."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_lowercase

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec
from netloom.layers.operations.operation import Axis, broadcast, listed, resolve_axis
from netloom.layers.probability import Probabilities, averaged


class _Merge(Layer):
    merges_inputs = True

    count: int = Field(2, ge=2, le=16, description="Number of inputs")

    def inputs(self) -> tuple[Port, ...]:
        kinds: tuple[Kind, ...] = ("vector", "sequence", "image", "volume")
        return tuple(Port(letter, kinds) for letter in ascii_lowercase[: self.count])

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(type(self).__name__)

    def brief(self) -> str:
        return f"{self.count} branches" if self.count > 2 else ""


class _Elementwise(_Merge):
    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        broadcast([specs[port.name] for port in self.inputs()])
        return super().build(specs)


class _Any(_Elementwise):
    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port(letter) for letter in ascii_lowercase[: self.count])


class Add(_Elementwise):
    """Elementwise sum of equal shapes."""

    group = "Merge"
    title = "Add"
    summary = "Adds two or more inputs, as in a residual connection"
    keywords = ("sum", "residual", "skip", "plus")
    url = "https://arxiv.org/abs/1512.03385"
    is_linear = True
    is_common = True


class Multiply(_Elementwise):
    """Elementwise product of equal shapes."""

    group = "Merge"
    title = "Multiply"
    summary = "Multiplies two or more inputs element by element, as in a gate"
    keywords = ("product", "gate", "times")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.mul.html"
    is_common = True


class Concat(_Merge):
    """Concatenation along one axis, such as (N, A) and (N, B) -> (N, A + B)."""

    group = "Merge"
    title = "Concat"
    summary = "Concatenates two or more inputs along one axis"
    keywords = ("join", "cat", "concatenate", "merge")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.cat.html"
    is_linear = True
    is_common = True

    axis: int = Field(1, ge=1, le=4, description="Axis to concatenate along, counted from 1 after the batch axis")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        shapes = [specs[port.name] for port in self.inputs()]
        rank = len(shapes[0].shape)
        if self.axis >= rank:
            raise ValueError(f"axis={self.axis} is not an axis of {shapes[0]}")
        other_axes = {(spec.shape[: self.axis], spec.shape[self.axis + 1 :]) for spec in shapes}
        if len({len(spec.shape) for spec in shapes}) > 1 or len(other_axes) > 1:
            raise ValueError(
                f"{listed(shapes)} must be equal in all axes except axis {self.axis}, along which they are concatenated"
            )
        return Call("Concat", (self.axis,))

    def brief(self) -> str:
        return f"axis {self.axis}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        # Concatenated distributions sum to their number instead of 1; independent probabilities remain valid.
        probabilities = [inputs.get(port.name) for port in self.inputs()]
        return (
            probabilities[0]
            if len(set(probabilities)) == 1 and probabilities[0] and probabilities[0].family == "sigmoid"
            else None
        )


class Stack(_Any):
    """Inputs of equal shape stacked along a new axis, such as (N, D) and (N, D) -> (N, 2, D)."""

    group = "Merge"
    title = "Stack"
    summary = "Stacks two or more inputs of the same shape along a new axis"
    keywords = ("join", "new axis", "pile", "merge")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.stack.html"
    is_linear = True

    axis: Axis = Field(
        1, description="Position of the new axis, counted from 1 after the batch axis, or -1 for the end"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        shapes = [specs[port.name] for port in self.inputs()]
        if len(set(shapes)) > 1:
            raise ValueError(f"{listed(shapes)} must have the same shape and type to be stacked")
        # Positions count the new axis, so that -1 is the end, as in PyTorch.
        return Call("Stack", (resolve_axis(self.axis, TensorSpec((*shapes[0].shape, self.count))),))

    def brief(self) -> str:
        return f"axis {self.axis}"


class Maximum(_Any):
    """max(a, b, …), elementwise."""

    group = "Merge"
    title = "Maximum"
    summary = "The element-wise maximum of two or more inputs"
    keywords = ("max", "greatest", "larger", "maxout")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.maximum.html"


class Minimum(_Any):
    """min(a, b, …), elementwise."""

    group = "Merge"
    title = "Minimum"
    summary = "The element-wise minimum of two or more inputs"
    keywords = ("min", "least", "smaller")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.minimum.html"


class Average(_Any):
    """(a + b + …) / count, elementwise."""

    group = "Merge"
    title = "Average"
    summary = "The element-wise mean of two or more inputs"
    keywords = ("mean", "ensemble")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.mean.html"
    is_linear = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return averaged([inputs.get(port.name) for port in self.inputs()])


class _Pair(Layer):
    merges_inputs = True

    def inputs(self) -> tuple[Port, ...]:
        return Port("a"), Port("b")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        broadcast([specs[port.name] for port in self.inputs()])
        return Call(type(self).__name__)


class Subtract(_Pair):
    """a − b, elementwise."""

    group = "Merge"
    title = "Subtract"
    summary = "Subtracts the second input from the first"
    keywords = ("minus", "difference", "sub")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.sub.html"
    is_linear = True


class Divide(_Pair):
    """a / (b + ε), elementwise."""

    group = "Merge"
    title = "Divide"
    summary = "Divides the first input by the second"
    keywords = ("quotient", "ratio", "over")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.div.html"

    epsilon: float = Field(
        0.0, ge=0, le=1, description="Small number added to the divisor, which keeps a positive divisor away from 0"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        call = super().build(specs)
        return Call(call.target, (self.epsilon,)) if self.epsilon else call


class Blend(_Pair):
    """g·a + (1 − g)·b, elementwise, for a gate g between 0 and 1."""

    group = "Merge"
    title = "Blend"
    summary = "Interpolates between two inputs with the weights of a third, as in a highway network"
    keywords = ("gate", "highway", "interpolate", "lerp", "mix")
    url = "https://arxiv.org/abs/1505.00387"

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = dict.fromkeys(("a", "b", "gate"), SAMPLES["sequence"])
        return [Example(inputs=inputs), Example(inputs=inputs | {"gate": TensorSpec((None, 8, 1))})]

    def inputs(self) -> tuple[Port, ...]:
        return Port("a"), Port("b"), Port("gate", doc="Weights: 1 returns a, 0 returns b")
