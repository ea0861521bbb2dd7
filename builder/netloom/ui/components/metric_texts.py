"""The titles and formatted values of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from netloom.store import Run
from netloom.tasks import metric

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

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


def formatter(name: str) -> Callable[[float], str]:
    """Return the function that formats the values of a metric."""
    return metric(name).written


def metric_table(
    cells: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    metrics: Mapping[str, str],
    differences: Mapping[str, str] | None = None,
) -> Styler:
    """Return a table whose metrics are formatted as on the other pages and sorted by their values.

    Args:
        cells: Columns by title, or rows.
        metrics: The name of the metric in each column of values, by the title of the column.
        differences: The same for the columns of differences of a metric.
    """
    import pandas as pd

    forms: dict[str, Callable[[Any], str]] = {title: formatter(name) for title, name in metrics.items()}
    for title, name in (differences or {}).items():
        forms[title] = partial(metric(name).written, signed=True)
    return pd.DataFrame(cells).style.format({**forms}, na_rep="–")


def heading(name: str) -> str:
    """Return the title of a column of scores."""
    return HEADINGS.get(name) or metric(name).title
