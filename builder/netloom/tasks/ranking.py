"""Recommendation by Bayesian personalized ranking (BPR)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.answers import AnswerPart, number_part
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Problem, Task


class Ranking(Task):
    name = "ranking"
    title = "Recommendation (BPR)"
    summary = "Ranks items for a user, from items that were liked and items that were not chosen"
    order = 170
    target = "number"
    metrics: ClassVar = {"loss": "BPR loss", "pair_accuracy": "Pairwise accuracy"}
    settings = ("relevance_threshold", "top_k")
    supports_sample_weights = False
    augments_batch = True
    paired_views = True
    scores_items = True
    explained = "score"
    not_calibrated = "Only the order of the scores matters, so an output is not a probability."

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput((1,), "the target of the data needs"),)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is None:
            return
        fields = [field for field in schema.inputs if field.vocabulary is not None and field.shape == (1,)]
        if len(fields) != 2 or len(schema.inputs) != 2:
            names = ", ".join(field.name for field in schema.inputs)
            yield Problem(
                "objective",
                f"Ranking needs two fields, a user and an item, each with a single category; the data has {names}. "
                "Set both columns to categories with their own field, and ignore the other columns.",
            )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return (number_part("prediction", "The score; higher ranks first"),)
