"""Layers of generative and adversarial networks: noise, reversed gradients and codebooks."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from netloom.layers.layer import SAMPLES, Call, Example, Kind, Layer, Port, TensorSpec
from netloom.layers.operations.operation import floats
from netloom.layers.probability import Probabilities


class Reparameterize(Layer):
    """mean + exp(log_variance / 2) · noise in training, mean otherwise; both ports and out have the same shape."""

    group = "Generative"
    title = "Reparameterize"
    summary = "Samples a latent vector from a mean and a variance, as in a variational autoencoder"
    keywords = ("vae", "variational", "latent", "sample", "kl divergence", "information bottleneck", "noise")
    url = "https://arxiv.org/abs/1312.6114"
    is_linear = True
    samples_latent = True

    coefficient: float = Field(
        0.01, ge=0, le=1_000_000, description="Weight of the KL divergence from N(0, 1) in the loss (β)"
    )

    def inputs(self) -> tuple[Port, ...]:
        kinds: tuple[Kind, ...] = ("vector", "sequence", "image")
        return (
            Port("mean", kinds, "Mean of each latent variable"),
            Port("log_variance", kinds, "Logarithm of its variance"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        mean, variance = specs["mean"], specs["log_variance"]
        if mean.shape != variance.shape:
            raise ValueError(
                f"mean {mean} and log_variance {variance} must have the same shape; set both layers to the same "
                "number of units"
            )
        return Call("Reparameterize", (self.coefficient,))

    def brief(self) -> str:
        return f"β {self.coefficient:g}"


class GradientReversal(Layer):
    """y = x, ∂y/∂x = −coefficient; any shape."""

    group = "Generative"
    title = "Gradient reversal"
    summary = "Identity in the forward pass; reverses the gradient in the backward pass"
    keywords = ("dann", "domain adaptation", "adversarial", "fairness")
    url = "https://arxiv.org/abs/1409.7495"
    is_linear = True

    coefficient: float = Field(1.0, ge=0, le=1_000_000, description="Factor of the reversed gradient (λ)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        floats(specs)  # integers have no gradient to reverse
        return Call("GradientReversal", (self.coefficient,))

    def brief(self) -> str:
        return f"−{self.coefficient:g}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")


class GaussianNoise(Layer):
    """x + std · noise in training, x otherwise; any shape."""

    group = "Generative"
    title = "Gaussian noise"
    summary = "Adds Gaussian noise in training, which regularizes the network"
    keywords = ("noise", "denoising", "regularisation", "augmentation", "robust")
    url = "https://keras.io/api/layers/regularization_layers/gaussian_noise/"
    is_linear = True

    std: float = Field(0.1, ge=0, le=1_000_000, description="Standard deviation of the noise (σ)")

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        return Call("GaussianNoise", (self.std,))

    def brief(self) -> str:
        return f"σ {self.std:g}"

    def probabilities(
        self, inputs: Mapping[str, Probabilities], specs: Mapping[str, TensorSpec], out: TensorSpec
    ) -> Probabilities | None:
        return inputs.get("in")


class VectorQuantizer(Layer):
    """(N, T, D) -> out (N, T, D), codes (N, T); (N, C, H, W) -> out (N, C, H, W), codes (N, H, W)."""

    group = "Generative"
    title = "Vector quantizer"
    summary = "Replaces each vector by the nearest vector of a learned codebook, as in VQ-VAE"
    keywords = ("vq-vae", "codebook", "discrete", "quantise", "tokens", "codes")
    url = "https://arxiv.org/abs/1711.00937"

    own_initialization = ("codebook",)  # within the range of the vectors that it replaces
    differentiable = False  # the integer codes have no gradient; out has the straight-through one of VQ-VAE

    codes: int = Field(256, ge=2, le=1_000_000, description="Number of vectors in the codebook")
    commitment: float = Field(
        0.25,
        ge=0,
        le=1_000_000,
        description="Weight of the commitment loss, the distance between the input and its code vector (β)",
    )

    def inputs(self) -> tuple[Port, ...]:
        return (Port("in", ("sequence", "image"), "(N, T, D) or (N, C, H, W)"),)

    def outputs(self) -> tuple[Port, ...]:
        return (
            Port("out", ("sequence", "image"), "Selected code vectors"),
            Port("codes", ("any",), "Indices of the selected code vectors, (N, T) or (N, H, W)"),
        )

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        image = len(specs["in"].shape) == 4
        commitment = {"commitment": self.commitment} if self.commitment != 0.25 else {}
        first = {"channels_first": True} if image else {}
        # The codebook has vectors over the features, which are the last axis of a sequence, but the first of an image.
        return Call("VectorQuantizer", (specs["in"].size(1 if image else 2), self.codes), {**commitment, **first})

    def brief(self) -> str:
        return f"{self.codes} codes"

    @classmethod
    def examples(cls) -> list[Example]:
        kinds: tuple[Kind, ...] = ("sequence", "image")
        return [Example({"codes": 7}, {"in": SAMPLES[kind]}) for kind in kinds]
