"""Distillation: a narrower network learns from the labels and from the outputs of the original.

https://arxiv.org/abs/1503.02531
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.compression.method import CompressionError, DocumentMethod, Smaller
from netloom.compression.narrowing import narrow_student
from netloom.core.plain_json import JsonObject
from netloom.tasks import student_task
from netloom.training.weights.initialization import RUN

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

AMOUNT = 0.5


class Distillation(DocumentMethod):
    """A student with fewer channels, trained from random weights."""

    name = "distillation"
    title = "Distillation"
    summary = "A network with half the channels of each layer learns from the original; has to be trained"
    order = 28
    settings = ("amount",)
    needs_training = True

    def __init__(self, amount: float = AMOUNT) -> None:
        self.amount = amount

    @property
    def label(self) -> str:
        return f"{super().label} {self.amount:.0%}"

    def smaller(self, trained: TrainedRun) -> Smaller:
        if not student_task(trained.project.training.objective):
            raise CompressionError(
                "Distillation needs a run that predicts one class for each row, or objects in images."
            )
        return Smaller(
            narrow_student(trained, self.amount), None, f"A student with {1 - self.amount:.0%} of the channels."
        )

    def training(self, trained: TrainedRun, epochs: int) -> JsonObject:
        if trained.run is None:
            raise CompressionError("A teacher is a saved run; train this network as a run first.")
        return {
            **super().training(trained, epochs),
            "objective": student_task(trained.project.training.objective),
            "teacher": f"{RUN}{trained.run.id}",
            "initial_weights": "",
        }
