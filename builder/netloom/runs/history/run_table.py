"""Runs as a table: a column for each hyperparameter that differs between them, and for each metric."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.runs.history.comparison import differing_paths, document, metrics, settings
from netloom.runs.history.fanova import MIN_RESULTS, fanova
from netloom.store import Run, Store

# The documents of at most this many runs are read, the newest first: each takes milliseconds.
READ_DOCUMENTS = 200
# From this ratio of the largest to the smallest value on, a positive number varies over orders of magnitude.
LOG_RATIO = 50
# The columns that are shown before the user chooses others.
SETTINGS_SHOWN, METRICS_SHOWN = 5, 3
# Settings of the bookkeeping, which are not hyperparameters.
_NOT_TUNED = ("data.dataset_id", "training.initial_weights", "training.teacher")


@dataclass(frozen=True)
class RunTable:
    """The values of runs by column: `settings` are paths in the documents, `metrics` names such as `test accuracy`."""

    runs: tuple[Run, ...]
    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Mapping[str, tuple[Any, ...]]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.settings, *self.metrics)

    def is_number(self, column: str) -> bool:
        """Return whether all values of a column are numbers or missing."""
        return all(value is None or _is_number(value) for value in self.values[column])


@dataclass(frozen=True)
class ColumnFilter:
    """A condition on a column: a range of numbers whose ends may be open, or a set of values as text."""

    column: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Return whether a value fulfills the condition; a missing value does not fulfill a range."""
        if self.low is not None or self.high is not None:
            return _is_number(value) and (self.low is None or value >= self.low) and (
                self.high is None or value <= self.high
            )  # fmt: skip
        return not self.choices or as_cell(value) in self.choices


@dataclass(frozen=True)
class RunGroup:
    """Runs with the same value of a column: for each metric, the mean and the standard deviation (NaN for one run)."""

    value: str
    runs: int
    metrics: Mapping[str, tuple[float, float]]


def run_table(store: Store, runs: Sequence[Run]) -> RunTable:
    """Return the settings that differ between runs, and their metrics. Parameters of layers are columns only if all
    runs are of one project, because those of different networks always differ."""
    documents = [document(store, run.id) if index < READ_DOCUMENTS else None for index, run in enumerate(runs)]
    assigned = [settings(project) if project else {} for project in documents]
    known = [values for values in assigned if values]
    single_project = len({run.project_id for run in runs}) < 2
    paths = [
        path
        for path in differing_paths(known)
        if path not in _NOT_TUNED and (single_project or path.startswith(("training.", "data.")))
    ]
    measured = [metrics(run) for run in runs]
    names = list(dict.fromkeys(name for values in measured for name in values))
    columns = {path: tuple(values.get(path) for values in assigned) for path in paths}
    columns |= {name: tuple(values.get(name) for values in measured) for name in names}
    return RunTable(tuple(runs), tuple(paths), tuple(names), columns)


def first_columns(table: RunTable) -> list[str]:
    """Return the columns that are shown before the user chooses others."""
    return [*_common(table, table.settings, SETTINGS_SHOWN), *_common(table, table.metrics, METRICS_SHOWN)]


def _common(table: RunTable, columns: Sequence[str], most: int) -> list[str]:
    """Return the columns that most runs have, in their order: not those of an agent beside many classifiers."""
    common = sorted(columns, key=lambda name: sum(value is None for value in table.values[name]))[:most]
    return [name for name in columns if name in common]


def matching(table: RunTable, filters: Sequence[ColumnFilter]) -> list[Run]:
    """Return the runs that fulfill all conditions on columns that the table has."""
    known = [item for item in filters if item.column in table.values]
    return [
        run
        for index, run in enumerate(table.runs)
        if all(item.accepts(table.values[item.column][index]) for item in known)
    ]


def grouped(table: RunTable, column: str) -> list[RunGroup]:
    """Return the runs by their values of a column, in the order of the values."""
    rows_by_cell: dict[str, list[int]] = {}
    for index in order_of(table.values[column]):
        rows_by_cell.setdefault(as_cell(table.values[column][index]), []).append(index)
    groups = []
    for value, members in rows_by_cell.items():
        spread = {}
        for name in table.metrics:
            values = [float(table.values[name][index]) for index in members if _is_number(table.values[name][index])]
            if values:
                deviation = statistics.stdev(values) if len(values) > 1 else math.nan
                spread[name] = (statistics.fmean(values), deviation)
        groups.append(RunGroup(value, len(members), spread))
    return groups


def order_of(values: Sequence[Any], *, descending: bool = False) -> list[int]:
    """Return the indices of values in their order: numbers, then texts, and missing or undefined (NaN) values last in
    either direction."""
    missing = [index for index, value in enumerate(values) if _is_missing(value)]
    present = [index for index, value in enumerate(values) if not _is_missing(value)]
    return [*sorted(present, key=lambda index: _sort_key(values[index]), reverse=descending), *missing]


def importance(settings: Mapping[str, Sequence[Any]], results: Sequence[Any]) -> dict[str, float]:
    """Return the share of the variation of results that each setting explains by fANOVA, the largest first; empty with
    too few results. Both have a value for each run; runs without a number as their result are left out."""
    done = [index for index, value in enumerate(results) if _is_number(value)]
    numbers = [float(results[index]) for index in done]
    columns = {path: [values[index] for index in done] for path, values in settings.items()}
    columns = {path: values for path, values in columns.items() if len({json.dumps(value) for value in values}) > 1}
    if len(done) < MIN_RESULTS or not columns or len(set(numbers)) < 2:
        return {}
    import optuna

    distributions: dict[str, optuna.distributions.BaseDistribution] = {}
    for path, values in columns.items():
        if all(_is_number(value) for value in values):
            low, high = min(values), max(values)
            distributions[path] = optuna.distributions.FloatDistribution(
                float(low), float(high), log=low > 0 and high / low >= LOG_RATIO
            )
        else:
            columns[path] = [as_cell(value) for value in values]
            distributions[path] = optuna.distributions.CategoricalDistribution(list(dict.fromkeys(columns[path])))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for index, result in enumerate(numbers):
        assigned = {
            path: float(values[index]) if _is_number(values[index]) else values[index]
            for path, values in columns.items()
        }
        study.add_trial(optuna.trial.create_trial(params=assigned, distributions=distributions, value=result))
    return fanova(study, list(columns))


def as_cell(value: Any) -> str:
    """Return a value as text, equal for equal values."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else "–" if value is None else json.dumps(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Return a key under which numbers come first, in their order."""
    return (0, float(value), "") if _is_number(value) else (1, 0.0, as_cell(value))
