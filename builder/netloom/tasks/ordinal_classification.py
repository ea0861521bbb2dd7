"""One of several classes that have an order, such as grades from 1 to 5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.document.data_choice import DataChoice
from netloom.tasks.classification import Classification
from netloom.tasks.task import Problem


class OrdinalClassification(Classification):
    name = "ordinal_classification"
    title = "Ordinal classification"
    summary = "Predicts one of several ordered classes, such as 1 to 5 stars: small errors cost less than large ones"
    order = 15
    as_head = False
    metrics: ClassVar = {
        "loss": "Ranked probability score",
        "accuracy": "Accuracy",
        "rank_error": "Mean rank error",
        "kappa": "Quadratic weighted κ",
    }
    settings: ClassVar[tuple[str, ...]] = ()
    student = ""
    exits_early = False

    def problems(self, schema: Schema | None, training: Training, data: DataChoice) -> Iterator[Problem]:
        if schema is None or schema.target.kind != self.target or _in_order(schema.target.classes):
            return
        yield Problem(
            "objective",
            f"Ordinal classification needs ordered classes, but those of {schema.target.name}, "
            f"{', '.join(schema.target.classes[:6])}, are not numbers from low to high. Name them 1, 2, 3 …, or "
            "choose classification.",
            "Change the objective to classification",
            {"objective": Classification.name},
        )


def _in_order(classes: tuple[str, ...]) -> bool:
    """Return whether the classes are numbers that increase."""
    try:
        numbers = [float(name) for name in classes]
    except ValueError:
        return False
    return numbers == sorted(numbers)
