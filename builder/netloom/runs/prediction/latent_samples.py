"""Examples that a network generates from latent variables: those of a variational autoencoder, or the noise of a
GAN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.noise_field import NOISE
from netloom.modalities.encoding.image_field import ImageEncoder
from netloom.runs.prediction.vae_sampling import latent_layers, with_latents
from netloom.training.objectives.adversarial import picture

if TYPE_CHECKING:
    import torch

    from netloom.runs.prediction.trained_run import TrainedRun

MAX_SAMPLES = 64


@dataclass(frozen=True)
class LatentSamples:
    """Images (N, C, H, W) with values from 0 to 1, and their latent vectors z (N, D)."""

    images: np.ndarray
    latents: np.ndarray


def samples_latents(trained: TrainedRun) -> bool:
    """Return whether a network generates images from latent variables alone."""
    return bool(latent_size(trained))


def latent_size(trained: TrainedRun) -> int:
    """Return the number of latent variables, D; 0 if the network does not generate images from them."""
    if trained.objective.task.generates_input:
        return int(trained.data.field(NOISE).shape[0]) if NOISE in trained.fields else 0
    layers = latent_layers(trained.objective, trained.model, trained.data)
    if not layers:
        return 0
    return _traced_size(trained, layers)


def latent_vectors(size: int, seed: int, count: int) -> np.ndarray:
    """Return vectors z ~ N(0, 1), float32 (N, D), the same for equal seeds; the first ones do not depend on their
    number."""
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


def sample_latents(trained: TrainedRun, seed: int, count: int, first: Sequence[float] = ()) -> LatentSamples:
    """Generate images. `first` replaces the first numbers of the first latent vector.

    Raises:
        DataError: the network does not generate images, or a number is out of range.
    """
    size = latent_size(trained)
    if not size:
        raise DataError("This network does not generate images from latent variables.")
    if not 1 <= count <= MAX_SAMPLES:
        raise DataError(f"The number of images must be from 1 to {MAX_SAMPLES}; received {count!r}.")
    if len(first) > size:
        raise DataError(f"The network has {size} latent variables, but received {len(first)} values.")
    latents = latent_vectors(size, seed, count)
    latents[0, : len(first)] = first
    return LatentSamples(_images(trained, latents), latents)


def _images(trained: TrainedRun, latents: np.ndarray) -> np.ndarray:
    """Return the images (N, C, H, W) of latent vectors (N, D), with values from 0 to 1."""
    import torch

    vectors = torch.from_numpy(latents)
    if trained.objective.task.generates_input:
        field = picture(trained.data)
        # The images are read by the discriminator only.
        inputs = {name: _first_rows(trained, name, len(latents)) for name in trained.fields}
        output = trained.output({**inputs, NOISE: vectors})[:, :-1].reshape(len(latents), *field.shape)
    else:
        field = _image_field(trained)
        inputs = {name: _first_rows(trained, name, len(latents)) for name in trained.fields}
        with with_latents(latent_layers(trained.objective, trained.model, trained.data), lambda shape: vectors):
            output = trained.output(inputs)
    images: np.ndarray = np.array(field.restore(output.numpy())) * field.unit_scale
    return images.clip(0, 1).astype(np.float32)


def _image_field(trained: TrainedRun) -> ImageEncoder:
    return trained.data.image_field(trained.data.fields[0].name)


def _first_rows(trained: TrainedRun, name: str, count: int) -> torch.Tensor:
    """Return the first row of a field, (N, …), for an input whose value does not matter."""
    row = trained.data.inputs[name][:1]
    return row.expand(count, *row.shape[1:])


def _traced_size(trained: TrainedRun, layers: Sequence[Any]) -> int:
    """Return the size of the latent vector (N, D), or 0 if the output also depends on the input, as through a skip
    connection, or if there are several latent layers of different sizes."""
    import torch

    sizes: set[tuple[int, ...]] = set()

    def zeros(shape: torch.Size) -> torch.Tensor:
        sizes.add(tuple(shape[1:]))
        return torch.zeros(shape)

    outputs = []
    for row in (0, len(trained.data.target) // 2):
        with with_latents(layers, zeros):
            outputs.append(trained.output({name: trained.data.inputs[name][row : row + 1] for name in trained.fields}))
    shapes = list(sizes)
    if len(shapes) != 1 or len(shapes[0]) != 1 or not torch.equal(*outputs):
        return 0
    return shapes[0][0]
