"""Image generation from noise with a generative adversarial network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from netloom.data.preparation.calibrated import Decoding
from netloom.modalities.encoding.image_field import ImageEncoder
from netloom.modalities.encoding.rows import Answer
from netloom.tasks import gan
from netloom.training.objectives.evaluation import Evaluation
from netloom.training.objectives.objective import NOTHING, Objective, Scores, Settings

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# Limits of the number of images on the Results page, and of their pixels in total.
SHOWN, PIXELS = 64, 64 * 32 * 32


class Adversarial(Objective):
    """The non-saturating generator loss, from the logits of generated images.

    An output (N, C·H·W + 1) holds each generated image followed by its logit; the target (N, C, H, W) are real images.
    `netloom.training.trainers.adversarial` trains both networks.
    """

    task = gan.GAN()

    def target(self, data: Prepared) -> torch.Tensor:
        return data.inputs[picture(data).name]

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        from netloom.training.gan_losses import generator_loss

        return generator_loss(output[:, -1])

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        return Scores({"loss": functional.softplus(-output[:, -1]).sum()}, len(target))

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from netloom.training.frechet_distance import features, frechet, shuffled

        images = self.target(data)
        generated, real, train_images = (
            output[:, :-1].reshape(-1, *images.shape[1:]),
            images[rows],
            images[data.split["train"]],
        )
        real_features = features(real)
        distance, real_distance = (
            frechet(features(generated), real_features),
            frechet(features(train_images), real_features),
        )
        shuffled_distance = frechet(shuffled(features(train_images)), real_features)
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                # 1: the distribution of the real images. 0: as far as images whose pixels are independent, or farther.
                "likeness": max(0.0, 1 - distance / shuffled_distance) if shuffled_distance > 0 else float("nan"),
                "frechet": distance,
                "frechet_real": real_distance,
                "taken_for_real": float((output[:, -1] > 0).double().mean()),
            },
            samples={
                "Generated": shown(generated, picture(data)),
                "From the data": shown(real, picture(data)),
            },
        )

    def answers(
        self,
        output: torch.Tensor,
        data: Prepared,
        inputs: Mapping[str, torch.Tensor] = NOTHING,
        chosen: Settings = NOTHING,
    ) -> list[Answer]:
        generated = output[:, :-1].reshape(-1, *self.target(data).shape[1:])
        shares = output[:, -1].sigmoid().tolist()
        restored = picture(data).restore(generated.numpy())
        return [{"prediction": image, "real": share} for image, share in zip(restored, shares, strict=True)]

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {"kind": "generated", "field": picture(data).state.to_json()}


def picture(data: Prepared) -> ImageEncoder:
    """Return the preprocessing of the generated images: that of the first image field."""
    return data.image_field(next(spec.name for spec in data.schema.inputs if spec.is_image))


def most_shown(shape: Sequence[int]) -> int:
    """Return the number of images (C, H, W) to show."""
    return max(4, min(SHOWN, PIXELS // prod(shape)))


def shown(pictures: torch.Tensor, field: ImageEncoder) -> list[Any]:
    """Return the first images of (N, C, H, W) with values from 0 to 1, as nested lists (C, H, W)."""
    import numpy as np

    few = pictures[: most_shown(pictures.shape[1:])]
    plain = np.array(field.restore(few.numpy())) * field.unit_scale
    values: list[Any] = plain.clip(0, 1).round(3).tolist()
    return values
