"""Layers that steady training: normalisation and dropout."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from builder.layers.base import Call, Kind, Layer, Port, TensorSpec


class _BatchNorm(Layer):
    momentum: float = Field(0.1, gt=0, le=1, description="How fast the running statistics follow the batches")
    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance, against division by zero")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        defaults = {"eps": (self.epsilon, 1e-5), "momentum": (self.momentum, 0.1)}
        kwargs = {key: value for key, (value, default) in defaults.items() if value != default}
        return Call(f"nn.{type(self).__name__}", (specs["in"].size(1),), kwargs)


class BatchNorm1d(_BatchNorm):
    """(N, D) or (N, C, L), normalised over the batch."""

    group = "Normalisation"
    title = "Batch norm 1D"
    summary = "Each feature with mean 0 and variance 1 over the batch"
    keywords = ("bn", "normalization")
    url = "https://arxiv.org/abs/1502.03167"

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence")),)


class BatchNorm2d(_BatchNorm):
    """(N, C, H, W), normalised over the batch and all places."""

    group = "Normalisation"
    title = "Batch norm 2D"
    summary = "Each channel of an image with mean 0 and variance 1 over the batch"
    keywords = ("bn", "normalization")
    url = "https://arxiv.org/abs/1502.03167"

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("image",)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", ("image",)),)


class LayerNorm(Layer):
    """(N, …, D), normalised over the last axis."""

    group = "Normalisation"
    title = "Layer norm"
    summary = "Each example, or each step, with mean 0 and variance 1 over its features"
    keywords = ("ln", "normalization", "transformer")
    url = "https://arxiv.org/abs/1607.06450"

    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance, against division by zero")

    def inputs(self) -> tuple[Port, ...]:
        kinds: tuple[Kind, ...] = ("vector", "sequence", "image")
        return (Port("in", kinds),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.LayerNorm", (specs["in"].size(-1),), {} if self.epsilon == 1e-5 else {"eps": self.epsilon})


class Dropout(Layer):
    """Same shape; in training, some numbers are set to zero and the others scaled up."""

    group = "Normalisation"
    title = "Dropout"
    summary = "Forgets a random part of its input while training, against overfitting"
    keywords = ("regularization", "overfitting", "noise")
    url = "https://jmlr.org/papers/v15/srivastava14a.html"

    rate: float = Field(0.5, ge=0, lt=1, description="The share of numbers that is set to zero")

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("vector", "sequence", "image")),)

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("nn.Dropout", (self.rate,))

    def brief(self) -> str:
        return f"{self.rate:.0%}" if self.rate * 100 == round(self.rate * 100) else str(self.rate)
