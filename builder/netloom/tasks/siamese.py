"""Similarity of pairs by the distance of their embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.project import DataChoice
from netloom.tasks.binary_classification import not_two_classes
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Problem, Task

NOT_ATTACKED = (
    "it predicts the distance of two examples, not the class of one of them; train a classifier on the embeddings "
    "to attack it."
)


class Siamese(Task):
    name = "siamese"
    title = "Pairs by distance (contrastive loss)"
    summary = "Predicts whether two examples are similar, by the distance of their embeddings"
    order = 150
    target = "class"
    reads = "two Outputs, the embedding of each of a pair"
    equal_widths = True
    joins_outputs = True
    metrics: ClassVar = {
        "loss": "Contrastive loss",
        "alike_distance": "Distance, similar pairs",
        "other_distance": "Distance, dissimilar pairs",
    }
    proportions = ("accuracy",)
    settings = ("margin",)
    tunes_threshold = True
    explained = "distance"
    explains_many_outputs = True
    explains_distance = True
    not_attacked = NOT_ATTACKED

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput(None), ExpectedOutput(None))

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is not None:
            yield from not_two_classes(
                "The contrastive loss learns from similar and dissimilar pairs, which are two classes", schema
            )
