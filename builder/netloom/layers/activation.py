"""Activations: one number at a time, and softmax and its kin over an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec
from netloom.layers.probability import Probabilities

KINDS: tuple[Kind, ...] = ("vector", "sequence", "image", "volume")


class ActivationLayer(Layer):
    """It keeps the shape. `options` pairs fields with PyTorch's arguments of the same default, which is left out."""

    options: ClassVar[tuple[tuple[str, str], ...]] = ()

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", KINDS),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        changed = [pair for pair in self.options if getattr(self, pair[0]) != type(self).model_fields[pair[0]].default]
        return Call(f"nn.{type(self).__name__}", (), {argument: getattr(self, field) for field, argument in changed})


class ReLU(ActivationLayer):
    """max(0, x)."""

    group = "Activation"
    title = "ReLU"
    summary = "Negative numbers become zero"
    keywords = ("rectifier", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html"


class LeakyReLU(ActivationLayer):
    """x where positive, slope·x elsewhere."""

    group = "Activation"
    title = "Leaky ReLU"
    summary = "Negative numbers are made small instead of zero"
    keywords = ("rectifier", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html"

    slope: float = Field(0.01, ge=0, le=1, description="The factor for negative numbers")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.LeakyReLU", (self.slope,))

    def brief(self) -> str:
        return str(self.slope)


class GELU(ActivationLayer):
    """x·Φ(x)."""

    group = "Activation"
    title = "GELU"
    summary = "A smooth ReLU, common in Transformers"
    keywords = ("gaussian", "nonlinearity", "transformer")
    url = "https://arxiv.org/abs/1606.08415"
    options = (("approximate", "approximate"),)

    approximate: Literal["none", "tanh"] = Field("none", description="Exact, or the quicker form by tanh as in GPT-2")


class SiLU(ActivationLayer):
    """x·σ(x)."""

    group = "Activation"
    title = "SiLU"
    summary = "A number times its own sigmoid, also called Swish"
    keywords = ("swish", "nonlinearity")
    url = "https://arxiv.org/abs/1702.03118"


class ELU(ActivationLayer):
    """x where positive, α·(eˣ − 1) elsewhere."""

    group = "Activation"
    title = "ELU"
    summary = "Negative numbers bend smoothly towards −1"
    keywords = ("exponential", "nonlinearity")
    url = "https://arxiv.org/abs/1511.07289"
    options = (("alpha", "alpha"),)

    alpha: float = Field(1.0, ge=0, le=100, description="How far below zero it ends, α")


class Sigmoid(ActivationLayer):
    """1 / (1 + e⁻ˣ)."""

    group = "Activation"
    title = "Sigmoid"
    summary = "Squeezes every number between 0 and 1"
    keywords = ("logistic", "gate", "probability")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("sigmoid")


class Tanh(ActivationLayer):
    """Hyperbolic tangent."""

    group = "Activation"
    title = "Tanh"
    summary = "Squeezes every number between −1 and 1"
    keywords = ("hyperbolic", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html"


class Softplus(ActivationLayer):
    """log(1 + e^(βx)) / β."""

    group = "Activation"
    title = "Softplus"
    summary = "A smooth ReLU that is always positive"
    keywords = ("positive", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html"
    options = (("beta", "beta"), ("threshold", "threshold"))

    beta: float = Field(1.0, gt=0, le=100, description="How sharp the bend is, β")
    threshold: float = Field(20.0, ge=0, le=1_000, description="Above this value of βx it is a straight line")


class SELU(ActivationLayer):
    """λ·x where positive, λ·α·(eˣ − 1) elsewhere, with fixed λ ≈ 1.0507 and α ≈ 1.6733."""

    group = "Activation"
    title = "SELU"
    summary = "An ELU scaled so that mean and variance stay steady from layer to layer"
    keywords = ("exponential", "self-normalizing", "nonlinearity")
    url = "https://arxiv.org/abs/1706.02515"


class CELU(ActivationLayer):
    """x where positive, α·(e^(x/α) − 1) elsewhere."""

    group = "Activation"
    title = "CELU"
    summary = "An ELU whose slope has no jump, whatever its α is"
    keywords = ("exponential", "nonlinearity")
    url = "https://arxiv.org/abs/1704.07483"
    options = (("alpha", "alpha"),)

    alpha: float = Field(1.0, gt=0, le=100, description="How far below zero it ends, α")


class Mish(ActivationLayer):
    """x·tanh(log(1 + eˣ))."""

    group = "Activation"
    title = "Mish"
    summary = "A smooth ReLU that lets small negative numbers through"
    keywords = ("nonlinearity", "yolo")
    url = "https://arxiv.org/abs/1908.08681"


class Hardswish(ActivationLayer):
    """x·min(max(x + 3, 0), 6) / 6."""

    group = "Activation"
    title = "Hard swish"
    summary = "A cheap SiLU made of straight pieces, as in MobileNetV3"
    keywords = ("mobilenet", "swish", "nonlinearity")
    url = "https://arxiv.org/abs/1905.02244"


class Hardsigmoid(ActivationLayer):
    """min(max(x + 3, 0), 6) / 6."""

    group = "Activation"
    title = "Hard sigmoid"
    summary = "A cheap sigmoid made of straight lines"
    keywords = ("mobilenet", "gate", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("sigmoid", removable=False)


class Hardtanh(ActivationLayer):
    """x, cut off below `low` and above `high`."""

    group = "Activation"
    title = "Hard tanh"
    summary = "Cuts every number off at a lowest and a highest value"
    keywords = ("clip", "clamp", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html"
    options = (("low", "min_val"), ("high", "max_val"))

    low: float = Field(-1.0, ge=-1e6, le=1e6, description="The lowest value")
    high: float = Field(1.0, ge=-1e6, le=1e6, description="The highest value")

    @model_validator(mode="after")
    def _order(self) -> Hardtanh:
        if self.low >= self.high:
            raise ValueError(f"low={self.low} must be less than high={self.high}")
        return self

    def brief(self) -> str:
        return f"{self.low:g} to {self.high:g}"


class Hardshrink(ActivationLayer):
    """x where |x| > threshold, zero elsewhere."""

    group = "Activation"
    title = "Hard shrink"
    summary = "Small numbers become zero, the others stay"
    keywords = ("sparse", "threshold", "shrinkage")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html"
    options = (("threshold", "lambd"),)

    threshold: float = Field(0.5, ge=0, le=1e6, description="Up to this distance from zero numbers become zero")


class Softshrink(ActivationLayer):
    """x − threshold or x + threshold towards zero, and zero where |x| ≤ threshold."""

    group = "Activation"
    title = "Soft shrink"
    summary = "Every number moves towards zero, and small ones become zero"
    keywords = ("sparse", "threshold", "shrinkage", "lasso")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html"
    options = (("threshold", "lambd"),)

    threshold: float = Field(0.5, ge=0, le=1e6, description="How far numbers move towards zero")


class Tanhshrink(ActivationLayer):
    """x − tanh(x)."""

    group = "Activation"
    title = "Tanh shrink"
    summary = "A number less its tanh: small ones nearly vanish, large ones lose 1"
    keywords = ("sparse", "shrinkage")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html"


class Softsign(ActivationLayer):
    """x / (1 + |x|)."""

    group = "Activation"
    title = "Softsign"
    summary = "Squeezes every number between −1 and 1, gently"
    keywords = ("nonlinearity",)
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html"


class ReLU6(ActivationLayer):
    """min(max(0, x), 6)."""

    group = "Activation"
    title = "ReLU6"
    summary = "A ReLU that ends at 6, as in MobileNet"
    keywords = ("rectifier", "mobilenet", "nonlinearity", "clip")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html"


class LogSigmoid(ActivationLayer):
    """log(1 / (1 + e⁻ˣ))."""

    group = "Activation"
    title = "Log sigmoid"
    summary = "The logarithm of the sigmoid, always negative"
    keywords = ("logistic", "log probability")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("sigmoid", log=True)


class Threshold(ActivationLayer):
    """x where x > threshold, `value` elsewhere."""

    group = "Activation"
    title = "Threshold"
    summary = "Numbers that are not above a threshold become a fixed value"
    keywords = ("cut", "step", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html"

    threshold: float = Field(0.0, ge=-1e6, le=1e6, description="Numbers above it stay")
    value: float = Field(0.0, ge=-1e6, le=1e6, description="What the others become")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Threshold", (self.threshold, self.value))

    def brief(self) -> str:
        return f"above {self.threshold:g}"


class PReLU(ActivationLayer):
    """x where positive, a·x elsewhere, with a learned slope a."""

    group = "Activation"
    title = "PReLU"
    summary = "A leaky ReLU that learns its own slope"
    keywords = ("rectifier", "parametric", "nonlinearity")
    url = "https://arxiv.org/abs/1502.01852"

    per_channel: bool = Field(False, description="Whether each channel, the axis after N, learns a slope of its own")
    slope: float = Field(0.25, ge=-10, le=10, description="The slope at the beginning")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        args = (specs["in"].size(1),) if self.per_channel else ()
        return Call("nn.PReLU", args, {"init": self.slope} if self.slope != 0.25 else {})


class RReLU(ActivationLayer):
    """x where positive, a·x elsewhere; a is drawn anew in training and fixed at its mean afterwards."""

    group = "Activation"
    title = "RReLU"
    summary = "A leaky ReLU whose slope is random while training"
    keywords = ("rectifier", "randomized", "noise", "nonlinearity")
    url = "https://arxiv.org/abs/1505.00853"
    options = (("low", "lower"), ("high", "upper"))

    low: float = Field(1 / 8, ge=0, le=1, description="The smallest slope for negative numbers")
    high: float = Field(1 / 3, ge=0, le=1, description="The greatest slope for negative numbers")

    @model_validator(mode="after")
    def _order(self) -> RReLU:
        if self.low > self.high:
            raise ValueError(f"low={self.low} must not be more than high={self.high}")
        return self


class _OverAxis(ActivationLayer):
    axis: int | None = Field(
        None, ge=1, le=4, description="The axis along which it works, counted from 1 after the batch; empty: the last"
    )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if self.axis is not None and self.axis >= len(specs["in"].shape):
            raise ValueError(f"axis={self.axis} is not an axis of {specs['in']}; take a smaller one, or leave it empty")
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
    summary = "Turns numbers into shares that add up to 1, over the last axis"
    keywords = ("probability", "classification", "normalize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", self.along(out))


class Softmin(_OverAxis):
    """e⁻ˣ divided by its sum over the last axis."""

    group = "Activation"
    title = "Softmin"
    summary = "Turns numbers into shares that add up to 1, the largest share for the smallest number"
    keywords = ("probability", "distance", "normalize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", self.along(out), removable=False)


class LogSoftmax(_OverAxis):
    """x − log Σ eˣ over the last axis."""

    group = "Activation"
    title = "Log softmax"
    summary = "The logarithms of the shares that softmax gives"
    keywords = ("probability", "log probability", "classification")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html"
    makes_probabilities = True

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", self.along(out), log=True)


class Softmax2d(ActivationLayer):
    """eˣ divided by its sum over the channels at each place of (N, C, H, W)."""

    group = "Activation"
    title = "Softmax 2D"
    summary = "At each place of an image, shares of the channels that add up to 1"
    keywords = ("probability", "segmentation", "channels")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html"
    makes_probabilities = True

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def probabilities(
        self, given: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("softmax", 1)
