"""One of several classes for every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import MAX_MONITORED, PREDICTION, TEXTS, AnswerPart, numbers_part, structure_part
from netloom.tasks.outputs import PIXEL_LOGITS, ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import MaskLabel, TrueLabel


class Segmentation(Task):
    name = "segmentation"
    title = "Segmentation"
    summary = "Predicts a class for each pixel"
    order = 100
    target = "mask"
    probabilities = (PIXEL_LOGITS,)
    metrics: ClassVar = {"loss": "Cross-entropy", "dice": "Dice", "iou": "IoU", "accuracy": "Pixel accuracy"}
    settings = ("class_weights", "label_smoothing", "focal_gamma", "dice_weight")
    per_class_scores = True
    explained = "mask"
    explains_many_outputs = True
    attacked = "pixels"
    confidence_unit = "pixel"
    decision_unit = "pixels"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((count, *schema.target.shape), f"the {count} classes of the data need"),)

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        if "shares" not in answer:
            return {}
        shares = answer["shares"]
        count = sum(share > 0 for share in shares.values())
        each = shares if len(shares) <= MAX_MONITORED else {}
        return {
            f"{PREDICTION}: classes": float(count),
            **{f"{PREDICTION}: share of {name}": share for name, share in each.items()},
        }

    def true_label(self, schema: Schema) -> TrueLabel | None:
        height, width = schema.target.shape
        return MaskLabel(schema.target.classes, (height, width), schema.target.mask_values)

    def decisions(self, answer: Mapping[str, Any]) -> list[Any]:
        return [pixel for row in answer["prediction"] for pixel in row]

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        grid = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
        names = schema.target.classes
        return (
            structure_part("prediction", grid, "The class of each pixel, a number from 0, as rows of pixels"),
            structure_part("classes", TEXTS, "The names of the classes by number"),
            numbers_part("shares", names, "The share of the pixels of each class"),
        )
