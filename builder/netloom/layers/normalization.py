"""Normalization and dropout layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from netloom.layers.channels import Channels, PreservedChannels, axes
from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Literals, Port, TensorSpec
from netloom.layers.probability import Probabilities


class _Norm(Layer):
    kinds: ClassVar[tuple[Kind, ...]]

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", self.kinds),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("out", self.kinds if len(self.kinds) == 1 else ("any",)),)


def _scales(affine: bool, bias: bool) -> tuple[str, ...]:
    """The learned weights of a normalization."""
    return (("weight", "bias") if bias else ("weight",)) if affine else ()


def _call(layer: _BatchNorm | _InstanceNorm | GroupNorm, sizes: tuple[int, ...], options: dict[str, Literals]) -> Call:
    """The module of torch.nn, or without a shift that of netloom.nn: not every supported PyTorch has the option."""
    name = type(layer).__name__
    if layer.affine and not layer.bias:
        return Call(f"{name}WithoutBias", sizes, options)
    return Call(f"nn.{name}", sizes, {**options, **layer.non_defaults("affine")})


class _BatchNorm(_Norm):
    is_linear = True
    decays_weights = False

    momentum: float = Field(
        0.1, gt=0, le=1, description="Momentum of the running statistics; higher values follow recent batches faster"
    )
    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance for numerical stability (ε)")
    affine: bool = Field(True, description="Learn a scale and a shift for each channel")
    bias: bool = Field(True, description="Learn a shift in addition to the scale; off: only the scale")

    @classmethod
    def examples(cls) -> list[Example]:
        return [*super().examples(), Example({"bias": False}, {"in": SAMPLES[cls.kinds[0]]})]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        defaults = {"eps": (self.epsilon, 1e-5), "momentum": (self.momentum, 0.1)}
        options: dict[str, Literals] = {key: value for key, (value, default) in defaults.items() if value != default}
        return _call(self, (specs["in"].size(1),), options)

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(
            preserved=PreservedChannels(1, axes("running_mean", "running_var", *_scales(self.affine, self.bias)))
        )


class BatchNorm1d(_BatchNorm):
    """(N, D) or (N, C, L), normalized over the batch."""

    group = "Normalization"
    title = "Batch norm 1D"
    summary = "Normalizes each feature to mean 0 and variance 1 over the batch"
    keywords = ("bn", "normalization", "normalise")
    url = "https://arxiv.org/abs/1502.03167"
    kinds = ("vector", "sequence")
    is_common = True


class BatchNorm2d(_BatchNorm):
    """(N, C, H, W), normalized over the batch and all positions."""

    group = "Normalization"
    title = "Batch norm 2D"
    summary = "Normalizes each channel of an image to mean 0 and variance 1 over the batch"
    keywords = ("bn", "normalization", "normalise")
    url = "https://arxiv.org/abs/1502.03167"
    kinds = ("image",)
    is_common = True


class BatchNorm3d(_BatchNorm):
    """(N, C, D, H, W), normalized over the batch and all positions."""

    group = "Normalization"
    title = "Batch norm 3D"
    summary = "Normalizes each channel of a volume to mean 0 and variance 1 over the batch"
    keywords = ("bn", "normalization", "video", "voxel")
    url = "https://arxiv.org/abs/1502.03167"
    kinds = ("volume",)


class _InstanceNorm(_Norm):
    decays_weights = False

    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance for numerical stability (ε)")
    affine: bool = Field(False, description="Learn a scale and a shift for each channel")
    bias: bool = Field(True, description="Learn a shift in addition to the scale; off: only the scale")

    @classmethod
    def examples(cls) -> list[Example]:
        inputs = {"in": SAMPLES[cls.kinds[0]]}
        return [
            Example(inputs=inputs),
            Example({"affine": True}, inputs),
            Example({"affine": True, "bias": False}, inputs),
        ]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        if math.prod(specs["in"].size(axis) for axis in range(2, len(specs["in"].shape))) < 2:
            raise ValueError(f"{specs['in']} has one value per channel, and a single value has no variance")
        return _call(self, (specs["in"].size(1),), {} if self.epsilon == 1e-5 else {"eps": self.epsilon})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        return Channels(preserved=PreservedChannels(1, axes(*_scales(self.affine, self.bias))))


class InstanceNorm1d(_InstanceNorm):
    """(N, C, L), each channel of each example normalized over its positions."""

    group = "Normalization"
    title = "Instance norm 1D"
    summary = "Normalizes each channel of each sequence (N, channels, length) to mean 0 and variance 1"
    keywords = ("in", "normalization", "series")
    url = "https://arxiv.org/abs/1607.08022"
    kinds = ("sequence",)


class InstanceNorm2d(_InstanceNorm):
    """(N, C, H, W), each channel of each example normalized over its positions."""

    group = "Normalization"
    title = "Instance norm 2D"
    summary = "Normalizes each channel of each image to mean 0 and variance 1, as in style transfer"
    keywords = ("in", "normalization", "style", "gan")
    url = "https://arxiv.org/abs/1607.08022"
    kinds = ("image",)


class InstanceNorm3d(_InstanceNorm):
    """(N, C, D, H, W), each channel of each example normalized over its positions."""

    group = "Normalization"
    title = "Instance norm 3D"
    summary = "Normalizes each channel of each volume to mean 0 and variance 1"
    keywords = ("in", "normalization", "medical", "video", "voxel")
    url = "https://arxiv.org/abs/1607.08022"
    kinds = ("volume",)


class GroupNorm(_Norm):
    """(N, C, …), each group of channels of each example normalized over its channels and positions."""

    group = "Normalization"
    title = "Group norm"
    summary = "Normalizes groups of channels to mean 0 and variance 1 in each example, independent of the batch size"
    keywords = ("gn", "normalization", "channels")
    url = "https://arxiv.org/abs/1803.08494"
    kinds = ("vector", "sequence", "image", "volume")
    decays_weights = False
    is_common = True

    groups: int = Field(8, ge=1, le=65_536, description="Number of groups that the channels are split into")
    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance for numerical stability (ε)")
    affine: bool = Field(True, description="Learn a scale and a shift for each channel")
    bias: bool = Field(True, description="Learn a shift in addition to the scale; off: only the scale")

    @classmethod
    def examples(cls) -> list[Example]:
        examples = [Example({"groups": 2}, {"in": SAMPLES[kind]}) for kind in cls.kinds]
        return [*examples, Example({"groups": 2, "bias": False}, {"in": SAMPLES["image"]})]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        channels = specs["in"].size(1)
        if channels % self.groups:
            raise ValueError(f"groups={self.groups} must divide the {channels} input channels")
        if math.prod(specs["in"].size(axis) for axis in range(1, len(specs["in"].shape))) == self.groups:
            raise ValueError(
                f"groups={self.groups} leaves a single value in each group, which has no variance; lower groups"
            )
        return _call(self, (self.groups, channels), {} if self.epsilon == 1e-5 else {"eps": self.epsilon})

    def channels(self, specs: Mapping[str, TensorSpec]) -> Channels:
        size = specs["in"].size(1) // self.groups
        # The mean of a group depends on all of its channels, so they are removed together.
        preserved = PreservedChannels(1, axes(*_scales(self.affine, self.bias)), together=size, counts={"groups": size})
        return Channels(preserved=preserved)

    def brief(self) -> str:
        return f"{self.groups} groups"


class _LastAxesNorm(_Norm):
    kinds = ("vector", "sequence", "image", "volume")
    decays_weights = False

    def _shape(self, spec: TensorSpec, axes: int) -> int | tuple[int, ...]:
        """The lengths of the last axes: an integer for one axis, as in most PyTorch code, otherwise a tuple."""
        if axes >= len(spec.shape):
            raise ValueError(f"axes={axes} is more than the {len(spec.shape) - 1} axes of {spec} after N")
        shape = tuple(spec.size(axis) for axis in range(-axes, 0))
        return shape if axes > 1 else shape[0]


class LayerNorm(_LastAxesNorm):
    """(N, …, D), normalized over the last `axes` axes."""

    group = "Normalization"
    title = "Layer norm"
    summary = "Normalizes each example, or each step, to mean 0 and variance 1 over its features"
    keywords = ("ln", "normalization", "normalise", "transformer")
    url = "https://arxiv.org/abs/1607.06450"
    is_common = True

    epsilon: float = Field(1e-5, gt=0, le=1, description="Added to the variance for numerical stability (ε)")
    axes: int = Field(1, ge=1, le=4, description="Number of trailing axes that are normalized together")
    affine: bool = Field(True, description="Learn a scale and a shift for each feature")
    bias: bool = Field(True, description="Learn a shift in addition to the scale; off: only the scale")

    @classmethod
    def examples(cls) -> list[Example]:
        return [*super().examples(), Example({"bias": False}, {"in": SAMPLES["sequence"]})]

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        defaults = {"eps": (self.epsilon, 1e-5), "elementwise_affine": (self.affine, True), "bias": (self.bias, True)}
        kwargs = {key: value for key, (value, default) in defaults.items() if value != default}
        return Call("nn.LayerNorm", (self._shape(specs["in"], self.axes),), kwargs)


class RMSNorm(_LastAxesNorm):
    """x / √(mean(x²) + ε) times a learned factor, over the last axis of (N, …, D)."""

    group = "Normalization"
    title = "RMS norm"
    summary = "Scales each example, or each step, to a mean square of 1 over its features; cheaper than layer norm"
    keywords = ("rms", "root mean square", "normalization", "transformer", "llama")
    url = "https://arxiv.org/abs/1910.07467"

    epsilon: float | None = Field(
        None, gt=0, le=1, description="Added to the mean square for numerical stability (ε); empty: the machine epsilon"
    )
    axes: int = Field(1, ge=1, le=4, description="Number of trailing axes that are normalized together")
    affine: bool = Field(True, description="Learn a scale for each feature")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        defaults = {"eps": (self.epsilon, None), "elementwise_affine": (self.affine, True)}
        kwargs = {key: value for key, (value, default) in defaults.items() if value != default}
        return Call("nn.RMSNorm", (self._shape(specs["in"], self.axes),), kwargs)


class LocalResponseNorm(_Norm):
    """x / (k + α/size · Σ x²)^β, the sum over `size` neighboring channels of (N, C, …)."""

    group = "Normalization"
    title = "Local response norm"
    summary = "Divides each value by the activity of neighboring channels at the same position, as in AlexNet"
    keywords = ("lrn", "normalization", "alexnet", "channels")
    url = "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks"
    kinds = ("sequence", "image", "volume")

    size: int = Field(5, ge=1, le=1_024, description="Number of neighboring channels")
    alpha: float = Field(1e-4, ge=0, le=1_000, description="Weight of the sum of squares (α)")
    beta: float = Field(0.75, ge=0, le=100, description="Exponent (β)")
    k: float = Field(1.0, gt=0, le=1_000, description="Constant added to the sum of squares (k)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        defaults = {"alpha": (self.alpha, 1e-4), "beta": (self.beta, 0.75), "k": (self.k, 1.0)}
        kwargs = {key: value for key, (value, default) in defaults.items() if value != default}
        return Call("nn.LocalResponseNorm", (self.size,), kwargs)

    def brief(self) -> str:
        return f"{self.size} channels"


class _Dropout(_Norm):
    is_linear = True

    rate: float = Field(0.5, ge=0, lt=1, description="Probability that a value is set to 0 in training")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call(f"nn.{type(self).__name__}", (self.rate,))

    def brief(self) -> str:
        return f"{self.rate:.0%}" if self.rate * 100 == round(self.rate * 100) else str(self.rate)

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")


class Dropout(_Dropout):
    """Same shape; in training, some values are set to zero and the others scaled by 1 / (1 − rate)."""

    group = "Normalization"
    title = "Dropout"
    summary = "Sets random values to 0 in training, which reduces overfitting"
    keywords = ("regularization", "overfitting", "noise")
    url = "https://jmlr.org/papers/v15/srivastava14a.html"
    kinds = ("vector", "sequence", "image", "volume")
    makes_representation = False
    is_common = True


class _ChannelDropout(_Dropout):
    makes_representation = False

    rate: float = Field(0.5, ge=0, lt=1, description="Probability that a channel is set to 0 in training")


class Dropout1d(_ChannelDropout):
    """(N, C, L); in training, whole channels are set to zero and the others scaled by 1 / (1 − rate)."""

    group = "Normalization"
    title = "Channel dropout 1D"
    summary = "Sets random channels of a sequence (N, channels, length) to 0 in training"
    keywords = ("regularization", "spatial dropout", "overfitting")
    url = "https://arxiv.org/abs/1411.4280"
    kinds = ("sequence",)


class Dropout2d(_ChannelDropout):
    """(N, C, H, W); in training, whole channels are set to zero and the others scaled by 1 / (1 − rate)."""

    group = "Normalization"
    title = "Channel dropout 2D"
    summary = "Sets random channels of an image to 0 in training"
    keywords = ("regularization", "spatial dropout", "overfitting")
    url = "https://arxiv.org/abs/1411.4280"
    kinds = ("image",)


class Dropout3d(_ChannelDropout):
    """(N, C, D, H, W); in training, whole channels are set to zero and the others scaled by 1 / (1 − rate)."""

    group = "Normalization"
    title = "Channel dropout 3D"
    summary = "Sets random channels of a volume to 0 in training"
    keywords = ("regularization", "spatial dropout", "overfitting", "video")
    url = "https://arxiv.org/abs/1411.4280"
    kinds = ("volume",)


class AlphaDropout(_Dropout):
    """Same shape; in training, some values become SELU's lowest value; mean and variance are preserved."""

    group = "Normalization"
    title = "Alpha dropout"
    summary = "Dropout that keeps mean and variance, for networks with SELU"
    keywords = ("regularization", "selu", "self-normalizing", "overfitting")
    url = "https://arxiv.org/abs/1706.02515"
    kinds = ("vector", "sequence", "image", "volume")

    rate: float = Field(0.5, ge=0, lt=1, description="Probability that a value is replaced in training")


class FeatureAlphaDropout(_Dropout):
    """(N, C, …); in training, whole channels become SELU's lowest value; mean and variance are preserved."""

    group = "Normalization"
    title = "Channel alpha dropout"
    summary = "Channel dropout that keeps mean and variance, for networks with SELU"
    keywords = ("regularization", "selu", "self-normalizing", "spatial dropout")
    url = "https://arxiv.org/abs/1706.02515"
    kinds = ("sequence", "image", "volume")

    rate: float = Field(0.5, ge=0, lt=1, description="Probability that a channel is replaced in training")
