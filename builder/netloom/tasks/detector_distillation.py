"""Object detection in which a small network also learns from the outputs of an earlier detector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.detection import Detection
from netloom.tasks.task import Problem
from netloom.tasks.teachers import missing_teacher


class DetectorDistillation(Detection):
    name = "detector_distillation"
    title = "Knowledge distillation of a detector"
    summary = "Object detection in which a small network also learns from the outputs of an earlier detector"
    order = 106
    settings: ClassVar[tuple[str, ...]] = ("teacher", "distillation_weight")
    augments_batch = True
    learns_from_teacher = True
    taught_by = "the grid of a detector"

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        yield from missing_teacher(training, Detection)
