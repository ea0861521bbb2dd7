"""Objects in images, each with a box and a class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import fmean
from typing import Any, ClassVar

from netloom.data.boxes import SIDES, objects_text
from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import AnswerPart, monitored_counts, structure_part, threshold_part
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import ObjectsLabel, TrueLabel

# The many objects below it are hardly ever right or predicted, and would hide what matters in each measure
_CALIBRATED_FROM = 0.05


class Detection(Task):
    name = "detection"
    title = "Object detection"
    summary = "Finds the objects in an image, with their boxes and classes"
    order = 105
    target = "boxes"
    probabilities = (None,)
    activations = "applies a sigmoid to the scores and a softplus to the sides of the boxes"
    metrics: ClassVar = {
        "loss": "Loss",
        "map": "mAP50–95",
        "f1": "F1 (IoU ≥ 0.5)",
        "precision": "Precision (IoU ≥ 0.5)",
        "recall": "Recall (IoU ≥ 0.5)",
    }
    tunes_threshold = True
    explained = "object"
    explains_many_outputs = True
    confidence_unit = "object"
    has_row_confidence = False
    calibrated_from = _CALIBRATED_FROM
    confidence_meaning = (
        "The confidence of an object is the probability that it matches a true object of its class with an IoU of at "
        f"least 0.5. All objects with a score of at least {_CALIBRATED_FROM:g} are measured, also those below the "
        "threshold."
    )
    attacked = "objects"
    student = "detector_distillation"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        scores = "a score for the class" if count == 1 else f"a score for each of the {count} classes"
        demand = f"a grid with {scores} and {len(SIDES)} sides of a box needs"
        return (ExpectedOutput((count + len(SIDES), None, None), demand),)

    def headline_metric(self, metrics: Collection[str]) -> str:
        return next((name for name in ("map", "f1") if name in metrics), super().headline_metric(metrics))

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return [self.answer_text(answer)]

    def answer_text(self, answer: Mapping[str, Any]) -> str:
        return objects_text(item["class"] for item in answer["prediction"])

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        objects = answer["prediction"]
        values = monitored_counts(schema.target.classes, (item["class"] for item in objects), "objects")
        if objects:
            boxes = [item["box"] for item in objects]
            areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
            values["prediction: mean score of the objects"] = fmean(item["score"] for item in objects)
            values["prediction: mean area of the boxes"] = fmean(areas)
        return values

    def true_label(self, schema: Schema) -> TrueLabel | None:
        return ObjectsLabel(schema.target.classes)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        item = {
            "type": "object",
            "properties": {
                "class": {"type": "string", "enum": list(schema.target.classes)},
                "score": {"type": "number"},
                "box": {"type": "array", "items": {"type": "number"}, "minItems": len(SIDES), "maxItems": len(SIDES)},
            },
            "required": ["class", "score", "box"],
        }
        description = (
            "The objects, highest score first; a box is x_min, y_min, x_max, y_max as shares of the width and the "
            "height of the image"
        )
        return (structure_part("prediction", {"type": "array", "items": item}, description), threshold_part())
