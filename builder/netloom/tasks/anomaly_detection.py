"""What is unusual, by how badly it is reconstructed."""

from __future__ import annotations

from typing import ClassVar

from netloom.tasks.reconstruction import Reconstruction


class AnomalyDetection(Reconstruction):
    name = "anomaly_detection"
    title = "Anomaly detection"
    summary = "To learn what is usual, and to find what is not by how badly it is given back"
    order = 120
    target = "class"
    metrics: ClassVar = {"loss": "Mean squared error of usual rows", "mae": "Mean absolute error"}
    tunes_threshold = True
