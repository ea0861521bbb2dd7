"""One of several classes."""

from __future__ import annotations

from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import AnswerPart, class_part, probability_part
from netloom.tasks.outputs import CLASS_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import ClassLabel, TrueLabel


class Classification(Task):
    name = "classification"
    title = "Classification"
    summary = "Predicts one of several classes for each example"
    order = 10
    target = "class"
    probabilities = (CLASS_LOGITS,)
    as_head = True
    metrics: ClassVar = {"loss": "Cross-entropy", "accuracy": "Accuracy", "macro_f1": "Macro F1"}
    proportions = ("accuracy",)
    settings: ClassVar[tuple[str, ...]] = ("class_weights", "label_smoothing", "focal_gamma")
    per_class_scores = True
    student = "distillation"
    exits_early = True
    explained = "class"
    attacked = "class"
    confidence_unit = "row"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((count,), f"the {count} classes of the data need"),)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        return class_part(schema.target.classes), probability_part(schema.target.classes)

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return ClassLabel(schema.target.classes)
