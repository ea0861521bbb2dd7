"""Classification in which a small network also learns from the logits of an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.classification import Classification
from netloom.tasks.task import Problem
from netloom.tasks.teachers import missing_teacher


class Distillation(Classification):
    name = "distillation"
    title = "Knowledge distillation"
    summary = "Classification in which a small network also learns from the logits of an earlier run"
    order = 60
    as_head = False
    settings: ClassVar[tuple[str, ...]] = ("teacher", "temperature", "distillation_weight", "label_smoothing")
    augments_batch = True
    learns_from_teacher = True
    taught_by = "logits for classes"

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        yield from missing_teacher(training, Classification)
