"""Contrastive learning (SimCLR) of embeddings without labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import NUMBERS, AnswerPart, structure_part
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.siamese import NOT_ATTACKED
from netloom.tasks.task import Problem, Task


class Contrastive(Task):
    name = "contrastive"
    title = "Contrastive learning (SimCLR)"
    summary = "Learns embeddings without labels: two augmented views of an example attract each other, all others repel"
    order = 160
    target = None
    reads = "one Output, the embedding"
    image_to_vector = "GlobalAvgPool"
    metrics: ClassVar = {"loss": "NT-Xent", "view_accuracy": "Contrastive accuracy"}
    proportions = ("knn_accuracy", "probe_accuracy", "input_knn_accuracy")
    settings = ("contrastive_temperature", "neighbors")
    supports_sample_weights = False
    augments_batch = True
    paired_views = True
    explainable_prediction = False
    explained = "embedding"
    not_calibrated = "The output is an embedding, which is not a prediction that is right or wrong."
    not_attacked = NOT_ATTACKED

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput(None),)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if not training.augment:
            yield Problem(
                "objective",
                "Contrastive learning compares two augmented views of each example, but no augmentation is set; add "
                "one under Augmentation, such as a random crop.",
            )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return (structure_part("prediction", NUMBERS, "The embedding"),)
