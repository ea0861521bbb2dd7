"""Image generation with a generative adversarial network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, number_part, structure_part
from netloom.tasks.outputs import LABEL_LOGITS
from netloom.tasks.task import Problem, Task

# The two networks; the data option that adds noise to each image, the field of the noise, and the size that a fix sets
NETWORKS = ("generator", "discriminator")
OPTION, NOISE, SIZE = "noise_size", "noise", 16


class GAN(Task):
    name = "gan"
    title = "Adversarial (GAN)"
    summary = "Generates images from noise: trains a generator and a discriminator in alternation"
    order = 130
    target = None
    probabilities = (None, LABEL_LOGITS)
    reads = "two Outputs, first the generator's image and then the discriminator's score"
    metrics: ClassVar = {
        "loss": "Fréchet distance",
        "generator_loss": "Generator loss",
        "discriminator_loss": "Discriminator loss",
        "told_apart": "Discriminator accuracy",
    }
    trainer = "adversarial"
    alternating = True
    generates_input = True
    not_calibrated = "A generated image has no true answer, so there is nothing to be right or wrong about."
    not_explained = (
        "a GAN generates images from noise, and individual noise values have no meaning that an attribution could "
        "explain."
    )

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is None:
            return
        if all(not field.is_image for field in schema.inputs):
            message = "A GAN generates images, but the data has no images; choose image data or another objective."
            yield Problem("gan_data", message)
        elif all(field.name != NOISE for field in schema.inputs) and OPTION not in data.options:
            yield Problem(
                "gan_noise",
                "A GAN generates images from noise, but the data has no noise field yet; set the data option "
                f"{OPTION!r} to the length of the noise vector.",
                f"Add a noise vector of length {SIZE}",
                options={OPTION: SIZE},
            )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        real = number_part("real", "The probability of the discriminator that the example is real")
        return structure_part("prediction", {}, "The generated example"), real
