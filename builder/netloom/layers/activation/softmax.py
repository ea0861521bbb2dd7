"""Activation functions that normalize over an axis."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.activation.activation import ActivationLayer
from netloom.layers.layer import Call, Port, TensorSpec
from netloom.layers.probability import Probabilities


class _OverAxis(ActivationLayer):
    axis: int | None = Field(
        None, ge=1, le=4, description="Axis of the function, counted from 1 after the batch axis; empty: the last axis"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.axis is not None and self.axis >= len(specs["in"].shape):
            raise ValueError(
                f"axis={self.axis} is not an axis of {specs['in']}; choose a smaller axis, or leave the parameter empty"
            )
        return Call(f"nn.{type(self).__name__}", (), {"dim": -1 if self.axis is None else self.axis})

    def along(self, out: TensorSpec) -> int:
        """The axis counted from the front."""
        return len(out.shape) - 1 if self.axis is None else self.axis

    def brief(self) -> str:
        return "" if self.axis is None else f"axis {self.axis}"


class Softmax(_OverAxis):
    """eˣ divided by its sum over the last axis."""

    group = "Activation"
    title = "Softmax"
    summary = "Converts scores to probabilities that sum to 1 over an axis"
    keywords = ("probability", "classification", "normalize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html"
    makes_probabilities = True
    is_common = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", self.along(out))


class Softmin(_OverAxis):
    """e⁻ˣ divided by its sum over the last axis."""

    group = "Activation"
    title = "Softmin"
    summary = "A softmax of the negative input: the smallest value gets the highest probability"
    keywords = ("probability", "distance", "normalize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html"
    makes_probabilities = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        # Without the activation, the scores would have the wrong sign: the logits are −x.
        return Probabilities("softmax", self.along(out), removable=False)


class LogSoftmax(_OverAxis):
    """x − log Σ eˣ over the last axis."""

    group = "Activation"
    title = "Log softmax"
    summary = "The logarithm of the softmax, computed in a numerically stable way"
    keywords = ("probability", "log probability", "classification")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html"
    makes_probabilities = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", self.along(out), log=True)


class Softmax2d(ActivationLayer):
    """eˣ divided by its sum over the channels at each position of (N, C, H, W)."""

    group = "Activation"
    title = "Softmax 2D"
    summary = "A softmax over the channels at each pixel of an image"
    keywords = ("probability", "segmentation", "channels")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html"
    makes_probabilities = True

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", 1)
