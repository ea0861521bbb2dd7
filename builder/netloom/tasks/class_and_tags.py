"""A class for a text and a tag for each of its words, from two outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import (
    ENTITIES,
    TEXTS,
    AnswerPart,
    class_part,
    monitored_tags,
    probability_part,
    structure_part,
)
from netloom.tasks.outputs import CLASS_LOGITS, STEP_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import ClassLabel, ClassWithTags, TrueLabel, WordTags


class ClassAndTags(Task):
    name = "class_and_tags"
    title = "Class and tags"
    summary = "Predicts the class of a text and a tag for each of its words with two outputs"
    order = 90
    target = "class_and_tags"
    probabilities = (CLASS_LOGITS, STEP_LOGITS)
    reads = "two Outputs, first the classes and then the tags"
    metrics: ClassVar = {"loss": "Both cross-entropies", "accuracy": "Accuracy", "word_accuracy": "Token accuracy"}
    proportions = ("accuracy",)
    # Weights and smoothing are of the class only; the focal loss is of both outputs.
    settings = ("class_weights", "label_smoothing", "focal_gamma")
    per_class_scores = True
    explained = "class"
    confidence_unit = "row"  # that of the class, which a prediction begins with
    decision_unit = "outputs"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        target = schema.target
        classes, tags = len(target.classes), len(target.tags)
        return (
            ExpectedOutput((classes,), f"the {classes} classes of the data need", "class"),
            ExpectedOutput((*target.shape, tags), f"the {tags} tags of the data need", "tags"),
        )

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        names = schema.target.classes
        tags = structure_part("tags", TEXTS, "The tag of each word")
        return class_part(names), probability_part(names), tags, ENTITIES

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return [answer["prediction"], answer["tags"]]

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        # Only the class is measured by labels, and a log has the tags only among these values.
        tags = monitored_tags(schema.target.tags, answer["tags"]) if "tags" in answer else {}
        return {**super().monitored_values(answer, schema), **tags}

    def true_label(self, schema: Schema) -> TrueLabel | None:
        target = schema.target
        return ClassWithTags(ClassLabel(target.classes), WordTags(target.tags, target.shape[0]))
