"""Any number of labels at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import TEXTS, AnswerPart, monitored_counts, probability_part, structure_part, thresholds_part
from netloom.tasks.outputs import LABEL_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import LabelSet, TrueLabel


class MultiLabel(Task):
    name = "multi_label"
    title = "Multi-label classification"
    summary = "Predicts which of several labels apply to an example: none, one or many"
    order = 30
    target = "labels"
    probabilities = (LABEL_LOGITS,)
    metrics: ClassVar = {
        "loss": "Binary cross-entropy",
        "mean_average_precision": "mAP",
        "micro_f1": "Micro F1 at ½",
        "subset_accuracy": "Subset accuracy at ½",
        "accuracy": "Label accuracy at ½",
    }
    proportions = ("subset_accuracy",)
    settings = ("positive_weight", "label_smoothing", "focal_gamma")
    tunes_threshold = True
    per_label_scores = True
    explained = "label"
    attacked = "labels"
    confidence_unit = "label"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((count,), f"the {count} labels of the data need"),)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        labels = structure_part("prediction", TEXTS, "The labels that apply")
        names = schema.target.classes
        return labels, probability_part(names), thresholds_part(names)

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return [sorted(answer["prediction"])]

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        return monitored_counts(schema.target.classes, answer["prediction"], "labels", "named")

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return LabelSet(schema.target.classes)
