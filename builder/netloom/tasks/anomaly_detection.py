"""Anomaly detection by reconstruction error."""

from __future__ import annotations

from typing import ClassVar

from netloom.data.schema import Schema
from netloom.tasks.answers import AnswerPart, class_part, number_part, threshold_part
from netloom.tasks.reconstruction import ERROR_SETTINGS, Reconstruction


class AnomalyDetection(Reconstruction):
    name = "anomaly_detection"
    title = "Anomaly detection"
    summary = "Detects unusual examples by their reconstruction error, after training on usual ones"
    order = 120
    # The most common class marks the normal rows, which alone enter the loss.
    target = "class"
    metrics: ClassVar = {"loss": "Mean squared error of usual rows", "mae": "Mean absolute error", "roc_auc": "ROC-AUC"}
    settings = ERROR_SETTINGS  # of the loss; the threshold is one of squared errors
    tunes_threshold = True

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        error = number_part("error", "The mean squared error of the reconstruction, in scaled units")
        return class_part(("usual", "unusual")), error, threshold_part()
