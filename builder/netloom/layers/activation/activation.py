"""Activation functions of single values: the base class, and rectifiers with their smooth variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.channels import Channels, PreservedChannels, axes
from netloom.layers.layer import Call, Kind, Layer, Port, TensorSpec

KINDS: tuple[Kind, ...] = ("vector", "sequence", "image", "volume")


class ActivationLayer(Layer):
    """The base class of activations, which keep the shape.

    `options` pairs fields with arguments of the module that have the same default; generated code omits defaults.
    """

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
    summary = "Sets negative values to 0"
    keywords = ("rectifier", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html"
    is_rectifier = True
    is_common = True


class LeakyReLU(ActivationLayer):
    """x where positive, slope·x elsewhere."""

    group = "Activation"
    title = "Leaky ReLU"
    summary = "Scales negative values down instead of setting them to 0"
    keywords = ("rectifier", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html"
    is_common = True

    slope: float = Field(0.01, ge=0, le=1, description="Slope for negative values")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.LeakyReLU", (self.slope,))

    def brief(self) -> str:
        return str(self.slope)


class GELU(ActivationLayer):
    """x·Φ(x)."""

    group = "Activation"
    title = "GELU"
    summary = "A smooth variant of ReLU, common in Transformers"
    keywords = ("gaussian", "nonlinearity", "transformer")
    url = "https://arxiv.org/abs/1606.08415"
    options = (("approximate", "approximate"),)
    is_common = True

    approximate: Literal["none", "tanh"] = Field(
        "none", description="none: exact; tanh: the faster approximation that GPT-2 uses"
    )


class SiLU(ActivationLayer):
    """x·σ(x)."""

    group = "Activation"
    title = "SiLU"
    summary = "The input times its sigmoid, also called Swish"
    keywords = ("swish", "nonlinearity")
    url = "https://arxiv.org/abs/1702.03118"
    is_common = True


class ELU(ActivationLayer):
    """x where positive, α·(eˣ − 1) elsewhere."""

    group = "Activation"
    title = "ELU"
    summary = "Identity for positive values; negative values approach −α smoothly"
    keywords = ("exponential", "nonlinearity")
    url = "https://arxiv.org/abs/1511.07289"
    options = (("alpha", "alpha"),)

    alpha: float = Field(1.0, ge=0, le=100, description="α: negative values approach −α")


class Softplus(ActivationLayer):
    """log(1 + e^(βx)) / β."""

    group = "Activation"
    title = "Softplus"
    summary = "A smooth variant of ReLU whose output is always positive"
    keywords = ("positive", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html"
    options = (("beta", "beta"), ("threshold", "threshold"))

    beta: float = Field(1.0, gt=0, le=100, description="β: higher values make the curve closer to ReLU")
    threshold: float = Field(20.0, ge=0, le=1_000, description="Above this value of βx, the function is linear")


class SELU(ActivationLayer):
    """λ·x where positive, λ·α·(eˣ − 1) elsewhere, with fixed λ ≈ 1.0507 and α ≈ 1.6733."""

    group = "Activation"
    title = "SELU"
    summary = "A scaled ELU that keeps mean and variance stable from layer to layer"
    keywords = ("exponential", "self-normalizing", "nonlinearity")
    url = "https://arxiv.org/abs/1706.02515"


class CELU(ActivationLayer):
    """x where positive, α·(e^(x/α) − 1) elsewhere."""

    group = "Activation"
    title = "CELU"
    summary = "An ELU that is continuously differentiable for every α"
    keywords = ("exponential", "nonlinearity")
    url = "https://arxiv.org/abs/1704.07483"
    options = (("alpha", "alpha"),)

    alpha: float = Field(1.0, gt=0, le=100, description="α: negative values approach −α")


class Mish(ActivationLayer):
    """x·tanh(log(1 + eˣ))."""

    group = "Activation"
    title = "Mish"
    summary = "A smooth variant of ReLU that keeps small negative values"
    keywords = ("nonlinearity", "yolo")
    url = "https://arxiv.org/abs/1908.08681"


class Hardswish(ActivationLayer):
    """x·min(max(x + 3, 0), 6) / 6."""

    group = "Activation"
    title = "Hard swish"
    summary = "A fast piecewise approximation of SiLU, as in MobileNetV3"
    keywords = ("mobilenet", "swish", "nonlinearity")
    url = "https://arxiv.org/abs/1905.02244"


class ReLU6(ActivationLayer):
    """min(max(0, x), 6)."""

    group = "Activation"
    title = "ReLU6"
    summary = "A ReLU whose output is at most 6, as in MobileNet"
    keywords = ("rectifier", "mobilenet", "nonlinearity", "clip")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html"
    is_rectifier = True


class Threshold(ActivationLayer):
    """x where x > threshold, `value` elsewhere."""

    group = "Activation"
    title = "Threshold"
    summary = "Replaces values that are not above a threshold by a fixed value"
    keywords = ("cut", "step", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html"
    is_rectifier = True

    threshold: float = Field(0.0, ge=-1e6, le=1e6, description="Values above the threshold are kept")
    value: float = Field(0.0, ge=-1e6, le=1e6, description="Value that replaces the others")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Threshold", (self.threshold, self.value))

    def brief(self) -> str:
        return f"above {self.threshold:g}"


class PReLU(ActivationLayer):
    """x where positive, a·x elsewhere, with a learned slope a."""

    group = "Activation"
    title = "PReLU"
    summary = "A leaky ReLU with a learned slope"
    keywords = ("rectifier", "parametric", "nonlinearity")
    url = "https://arxiv.org/abs/1502.01852"

    per_channel: bool = Field(
        False, description="Learn one slope per channel (the axis after N) instead of a single slope"
    )
    slope: float = Field(0.25, ge=-10, le=10, description="Initial slope")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        args = (specs["in"].size(1),) if self.per_channel else ()
        return Call("nn.PReLU", args, {"init": self.slope} if self.slope != 0.25 else {})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(preserved=PreservedChannels(1, axes("weight")) if self.per_channel else PreservedChannels(None))


class RReLU(ActivationLayer):
    """x where positive, a·x elsewhere; a is random in training and the mean of both limits in evaluation."""

    group = "Activation"
    title = "RReLU"
    summary = "A leaky ReLU with a random slope in training"
    keywords = ("rectifier", "randomized", "noise", "nonlinearity")
    url = "https://arxiv.org/abs/1505.00853"
    options = (("low", "lower"), ("high", "upper"))

    low: float = Field(1 / 8, ge=0, le=1, description="Lower limit of the slope for negative values")
    high: float = Field(1 / 3, ge=0, le=1, description="Upper limit of the slope for negative values")

    @model_validator(mode="after")
    def _order(self) -> RReLU:
        if self.low > self.high:
            raise FieldValueError("low", f"must be at most high={self.high:g}", self.low)
        return self
