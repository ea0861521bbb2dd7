"""One of several classes for every pixel."""

from __future__ import annotations

from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.outputs import PIXEL_LOGITS, ExpectedOutput
from netloom.tasks.task import Task


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

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        count = len(schema.target.classes)
        return (ExpectedOutput((count, *schema.target.shape), f"the {count} classes of the data need"),)
