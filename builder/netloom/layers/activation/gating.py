"""Activations in which one half of the features gates the other half."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.activation.activation import KINDS
from netloom.layers.layer import Call, Layer, Port, TensorSpec


class GLU(Layer):
    """a·σ(b), where a and b are the two halves of one axis, which becomes half as long."""

    group = "Activation"
    title = "GLU"
    summary = "Multiplies one half of the features by the sigmoid of the other half"
    keywords = ("gate", "gated linear unit", "nonlinearity")
    url = "https://arxiv.org/abs/1612.08083"

    axis: int | None = Field(
        None, ge=1, le=4, description="Axis to halve, counted from 1 after the batch axis; empty: the last axis"
    )

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", KINDS),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        axis = len(specs["in"].shape) - 1 if self.axis is None else self.axis
        if axis >= len(specs["in"].shape):
            raise ValueError(
                f"axis={axis} is not an axis of {specs['in']}; choose a smaller axis, or leave the parameter empty"
            )
        if specs["in"].size(axis) % 2:
            raise ValueError(f"axis {axis} of {specs['in']} has an odd length, which cannot be halved; make it even")
        return Call("nn.GLU", (), {} if self.axis is None else {"dim": axis})

    def brief(self) -> str:
        return "" if self.axis is None else f"axis {self.axis}"
