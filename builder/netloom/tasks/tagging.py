"""One of several tags for every word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import ENTITIES, TEXTS, AnswerPart, monitored_tags, structure_part
from netloom.tasks.outputs import STEP_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import TrueLabel, WordTags


class Tagging(Task):
    name = "tagging"
    title = "Tagging"
    summary = "Predicts a tag for each word, such as the names and times in a request"
    order = 80
    target = "tags"
    probabilities = (STEP_LOGITS,)
    metrics: ClassVar = {"loss": "Cross-entropy", "accuracy": "Token accuracy", "entity_f1": "Entity F1"}
    settings = ("class_weights", "label_smoothing", "focal_gamma")
    per_class_scores = True
    explained = "tag"
    confidence_unit = "word"
    decision_unit = "words"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((*schema.target.shape, count), f"the {count} classes of the data need"),)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return structure_part("prediction", TEXTS, "The tag of each word"), ENTITIES

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return list(answer["prediction"])

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        return monitored_tags(schema.target.classes, answer["prediction"])

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return WordTags(schema.target.classes, schema.target.shape[0])
