"""Shared parts of the layers of tensor operations: parameters for axes, and checks of shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from netloom.layers.layer import TensorSpec


def _not_the_batch(axis: int) -> int:
    if axis == 0:
        raise ValueError(
            "axes are counted from 1, or from -1 backward; axis 0 is the batch axis, which cannot be changed"
        )
    return axis


Axis = Annotated[int, Field(ge=-5, le=5), AfterValidator(_not_the_batch)]
Axes = Annotated[tuple[Axis, ...], Field(strict=False, min_length=1, max_length=5)]
Length = Annotated[int, Field(ge=1, le=1_000_000)]


class OneAxis(BaseModel):
    """The parameter of layers that work along one axis.

    It precedes Layer in the list of bases, so that its `brief` takes precedence.
    """

    axis: Axis = Field(-1, description="Axis, counted from 1 after the batch axis, or from -1 for the last")

    def brief(self) -> str:
        return f"axis {self.axis}"


def resolve_axis(axis: int, spec: TensorSpec, name: str = "axis") -> int:
    """The non-negative index of an axis, which PyTorch calls `dim`; the batch axis 0 is rejected.

    Raises:
        ValueError: The tensor does not have this axis.
    """
    rank = len(spec.shape)
    position = axis if axis > 0 else rank + axis
    # A row of the batch can be a single number, (N,), after a reduction
    if rank == 1:
        raise ValueError(f"{spec} has no axis after N; a tensor of two or more axes is needed")
    if not 1 <= position < rank:
        choice = f"choose 1 to {rank - 1}, or -1 for the last" if rank > 2 else "choose 1, its only axis"
        raise ValueError(f"{name}={axis} is not an axis of {spec}; {choice}")
    return position


def places(axes: Sequence[int], spec: TensorSpec) -> tuple[int, ...]:
    """The non-negative indices of several axes, in ascending order.

    Raises:
        ValueError: The tensor does not have one of the axes, or an axis is repeated.
    """
    positions = sorted(resolve_axis(axis, spec, "an axis") for axis in axes)
    if len(set(positions)) < len(positions):
        raise ValueError(f"the axes {', '.join(map(str, axes))} repeat an axis of {spec}; name each axis once")
    return tuple(positions)


def floats(specs: Mapping[str, TensorSpec]) -> None:
    """Refuse integer inputs.

    Raises:
        ValueError: An input is an integer tensor.
    """
    if any(spec.dtype == "int" for spec in specs.values()):
        raise ValueError("real numbers are expected, but the input holds integers; put a Cast to float before it")


def listed(specs: Sequence[TensorSpec]) -> str:
    """Shapes for a message, joined by "and"."""
    return " and ".join(str(spec) for spec in specs)


def broadcast(specs: Sequence[TensorSpec]) -> None:
    """Check that tensors have the same number of axes, and that each axis has one length apart from 1.

    Raises:
        ValueError: The tensors cannot be broadcast together.
    """
    # PyTorch also broadcasts different ranks by their last axes, but would then match N with another axis.
    if len({len(spec.shape) for spec in specs}) > 1 or any(
        len({size for size in sizes if size != 1}) > 1 for sizes in zip(*(spec.shape for spec in specs), strict=True)
    ):
        raise ValueError(f"{listed(specs)} cannot be broadcast together; give the inputs the same shape")
