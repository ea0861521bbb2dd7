"""Activation functions whose output is bounded, such as the sigmoid."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from netloom.core.field_errors import FieldValueError
from netloom.layers.activation.activation import ActivationLayer
from netloom.layers.layer import TensorSpec
from netloom.layers.probability import Probabilities


class Sigmoid(ActivationLayer):
    """1 / (1 + e⁻ˣ)."""

    group = "Activation"
    title = "Sigmoid"
    summary = "Maps every value to the range 0 to 1"
    keywords = ("logistic", "gate", "probability")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html"
    makes_probabilities = True
    saturates = True
    is_common = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("sigmoid")


class Tanh(ActivationLayer):
    """Hyperbolic tangent."""

    group = "Activation"
    title = "Tanh"
    summary = "Maps every value to the range −1 to 1"
    keywords = ("hyperbolic", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html"
    saturates = True
    is_common = True


class Hardsigmoid(ActivationLayer):
    """min(max(x + 3, 0), 6) / 6."""

    group = "Activation"
    title = "Hard sigmoid"
    summary = "A fast piecewise linear approximation of the sigmoid"
    keywords = ("mobilenet", "gate", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html"
    makes_probabilities = True
    saturates = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        # The input is not the logit of the output: this is a piecewise linear function, not the logistic one.
        return Probabilities("sigmoid", removable=False)


class Hardtanh(ActivationLayer):
    """min(max(x, low), high)."""

    group = "Activation"
    title = "Hard tanh"
    summary = "Clips every value to a range"
    keywords = ("clip", "clamp", "nonlinearity")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html"
    options = (("low", "min_val"), ("high", "max_val"))
    saturates = True

    low: float = Field(-1.0, ge=-1e6, le=1e6, description="Lower limit of the output")
    high: float = Field(1.0, ge=-1e6, le=1e6, description="Upper limit of the output")

    @model_validator(mode="after")
    def _order(self) -> Hardtanh:
        if self.low >= self.high:
            raise FieldValueError("low", f"must be less than high={self.high:g}", self.low)
        return self

    def brief(self) -> str:
        return f"{self.low:g} to {self.high:g}"


class Softsign(ActivationLayer):
    """x / (1 + |x|)."""

    group = "Activation"
    title = "Softsign"
    summary = "Maps every value to the range −1 to 1 with slowly decaying tails"
    keywords = ("nonlinearity",)
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html"
    saturates = True


class LogSigmoid(ActivationLayer):
    """log(1 / (1 + e⁻ˣ))."""

    group = "Activation"
    title = "Log sigmoid"
    summary = "The logarithm of the sigmoid; the output is always negative"
    keywords = ("logistic", "log probability")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html"
    makes_probabilities = True
    saturates = True

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return Probabilities("sigmoid", log=True)
