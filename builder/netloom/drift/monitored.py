"""The quantities of rows that are monitored: the columns of tables, summaries of other fields, and predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.modalities.fields.registry import modality_of

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

MISSING = "(missing)"
# A column of numbers with fewer values is compared as categories.
MIN_NUMBERS = 12


@dataclass(frozen=True)
class Quantity:
    """A quantity of reference rows (R,) and of current rows (N,): both numbers, or both categories."""

    name: str
    reference: np.ndarray
    current: np.ndarray

    @property
    def is_number(self) -> bool:
        return self.reference.dtype.kind == "f"


def columns(
    trained: TrainedRun, reference: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[Quantity]:
    """Return the columns of the tables that a network reads, from raw rows."""
    names = [
        column.name if column.name in reference[0] else column.date_column or column.name
        for field in trained.data.fields
        if field.name in trained.fields
        for column in field.columns
    ]
    found: list[Quantity] = []
    for name in dict.fromkeys(names):
        if name in reference[0]:
            found += _column(name, [row[name] for row in reference], [row.get(name) for row in rows])
    return found


def summaries(
    trained: TrainedRun, training: Mapping[str, Any], reference: Mapping[str, Any], inputs: Mapping[str, Any]
) -> list[Quantity]:
    """Return summaries of the fields other than tables, such as brightness, from encoded rows (R, …) and (N, …).

    `training` are encoded training rows.
    """
    found = []
    for field in trained.data.fields:
        if field.name not in trained.fields or field.columns:
            continue
        before, after = reference[field.name].numpy(), inputs[field.name].numpy()
        modality = modality_of(field)
        first, second = (modality.summaries(field, values, training[field.name].numpy()) for values in (before, after))
        found += [Quantity(f"{field.name}: {name}", first[name], second[name]) for name in first]
    return found


def predictions(reference: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> list[Quantity]:
    """Return the predictions and their confidence, from the answers of `runs.predict`."""
    found = []
    first = reference[0]["prediction"]
    if isinstance(first, (str, float, int)):
        found += _column("prediction", *([answer["prediction"] for answer in part] for part in (reference, answers)))
    if first is not None and "probabilities" in reference[0]:
        confidence = [
            np.array([max(answer["probabilities"].values()) for answer in part]) for part in (reference, answers)
        ]
        found.append(Quantity("confidence", *confidence))
    return found


def _column(name: str, reference: list[Any], current: list[Any]) -> list[Quantity]:
    before, after = _numbers(reference), _numbers(current)
    if before is None or len(np.unique(before[np.isfinite(before)])) < MIN_NUMBERS:
        return [Quantity(name, _texts(reference), _texts(current))]
    if after is None:
        # A text where training had numbers is missing for the network.
        after = np.array([_number(value) for value in current])
    found = [Quantity(name, before[np.isfinite(before)], after[np.isfinite(after)])]
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        is_missing = [np.where(np.isfinite(part), "known", MISSING) for part in (before, after)]
        found.append(Quantity(f"{name} is missing", *is_missing))
    return found


def _numbers(values: list[Any]) -> np.ndarray | None:
    """Return numbers with NaN where they are missing; None if a value is not a number."""
    if not all(
        isinstance(value, (int, float, np.number, type(None))) and not isinstance(value, bool) for value in values
    ):
        return None
    return np.array([_number(value) for value in values])


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _texts(values: list[Any]) -> np.ndarray:
    is_missing = [value is None or value == "" or (isinstance(value, float) and math.isnan(value)) for value in values]
    return np.array([MISSING if missing else str(value) for value, missing in zip(values, is_missing, strict=True)])
