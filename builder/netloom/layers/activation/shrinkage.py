"""Activation functions that move values toward zero."""

from __future__ import annotations

from pydantic import Field

from netloom.layers.activation.activation import ActivationLayer


class Hardshrink(ActivationLayer):
    """x where |x| > threshold, zero elsewhere."""

    group = "Activation"
    title = "Hard shrink"
    summary = "Sets small values to 0 and keeps the others"
    keywords = ("sparse", "threshold", "shrinkage")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html"
    options = (("threshold", "lambd"),)

    threshold: float = Field(0.5, ge=0, le=1e6, description="Values up to this distance from 0 become 0")


class Softshrink(ActivationLayer):
    """sign(x)·max(|x| − threshold, 0)."""

    group = "Activation"
    title = "Soft shrink"
    summary = "Moves every value toward 0; small values become 0"
    keywords = ("sparse", "threshold", "shrinkage", "lasso")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html"
    options = (("threshold", "lambd"),)

    threshold: float = Field(0.5, ge=0, le=1e6, description="Distance by which values move toward 0")


class Tanhshrink(ActivationLayer):
    """x − tanh(x)."""

    group = "Activation"
    title = "Tanh shrink"
    summary = "The input minus its tanh: small values nearly vanish"
    keywords = ("sparse", "shrinkage")
    url = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html"
