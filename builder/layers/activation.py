"""Activations: one number at a time, and softmax."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from builder.layers.base import Call, Layer, Port, TensorSpec


class _Activation(Layer):
    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}")


class ReLU(_Activation):
    """max(0, x)."""

    group = "Activation"
    title = "ReLU"
    summary = "Negative numbers become zero"
    keywords = ("rectifier", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html"


class LeakyReLU(_Activation):
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


class GELU(_Activation):
    """x·Φ(x)."""

    group = "Activation"
    title = "GELU"
    summary = "A smooth ReLU, common in Transformers"
    keywords = ("gaussian", "nonlinearity", "transformer")
    url = "https://arxiv.org/abs/1606.08415"


class SiLU(_Activation):
    """x·σ(x)."""

    group = "Activation"
    title = "SiLU"
    summary = "A number times its own sigmoid, also called Swish"
    keywords = ("swish", "nonlinearity")
    url = "https://arxiv.org/abs/1702.03118"


class ELU(_Activation):
    """x where positive, eˣ − 1 elsewhere."""

    group = "Activation"
    title = "ELU"
    summary = "Negative numbers bend smoothly towards −1"
    keywords = ("exponential", "nonlinearity")
    url = "https://arxiv.org/abs/1511.07289"


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ)."""

    group = "Activation"
    title = "Sigmoid"
    summary = "Squeezes every number between 0 and 1"
    keywords = ("logistic", "gate", "probability")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html"


class Tanh(_Activation):
    """Hyperbolic tangent."""

    group = "Activation"
    title = "Tanh"
    summary = "Squeezes every number between −1 and 1"
    keywords = ("hyperbolic", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html"


class Softplus(_Activation):
    """log(1 + eˣ)."""

    group = "Activation"
    title = "Softplus"
    summary = "A smooth ReLU that is always positive"
    keywords = ("positive", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html"


class Softmax(_Activation):
    """eˣ divided by its sum over the last axis."""

    group = "Activation"
    title = "Softmax"
    summary = "Turns numbers into shares that add up to 1, over the last axis"
    keywords = ("probability", "classification", "normalize")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html"

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Softmax", (), {"dim": -1})
