"""Reconstruction of the input (autoencoder)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema, TargetKind
from netloom.document import Training
from netloom.document.project import DataChoice
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Problem, Task


class Reconstruction(Task):
    name = "reconstruction"
    title = "Reconstruction"
    summary = "Reconstructs the input through a bottleneck or from noise (autoencoder)"
    order = 110
    target: ClassVar[TargetKind | None] = None
    metrics: ClassVar = {"loss": "Mean squared error", "mae": "Mean absolute error"}
    reconstructs_input = True
    explained = "error"
    explains_many_outputs = True
    explains_distance = True
    not_attacked = "it reconstructs its input, so a changed example has another true answer."

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        field = schema.inputs[0]
        if field.vocabulary is not None:
            # `problems` reports tokens.
            return None
        return (ExpectedOutput(field.shape, f"the field {field.name} of the data needs"),)

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is not None and schema.inputs[0].vocabulary is not None:
            yield Problem(
                "objective",
                f"The objective {self.name.replace('_', ' ')} reconstructs numbers, but the field "
                f"{schema.inputs[0].name} of the data contains tokens; choose images, tables or series.",
            )
