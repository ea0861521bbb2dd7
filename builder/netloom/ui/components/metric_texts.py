"""The titles and formatted values of metrics."""

from __future__ import annotations

from netloom.store import Run
from netloom.tasks import metric

HEADINGS = {"average_precision": "AP"}


def measured(name: str, value: float, run: Run | None = None) -> tuple[str, str]:
    """Return the title of a metric and its formatted value.

    The title of a metric of one of several outputs ends with that output. An accuracy has the title of the run's
    curves, such as token accuracy.
    """
    declared, (measure, _, part) = metric(name), name.partition(" (")
    on_curves = run.summary.titles.get(measure, "") if run else ""
    if not on_curves.endswith(" accuracy"):
        return declared.title, declared.written(value)
    return f"{on_curves} ({part}" if part else on_curves, declared.written(value)


def heading(name: str) -> str:
    """Return the title of a column of scores."""
    return HEADINGS.get(name) or metric(name).title
