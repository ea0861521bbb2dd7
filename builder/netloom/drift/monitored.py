"""The quantities of rows that are monitored: the columns of tables, summaries of other fields, and predictions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.modalities.encoding.number_column import NumberEncoder
from netloom.modalities.fields.registry import modality_of
from netloom.tasks.answers import MONITORED, confidence_of

if TYPE_CHECKING:
    from netloom.modalities.encoding.column_encoder import ColumnEncoder
    from netloom.modalities.encoding.field_encoder import FieldEncoder
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
    trained: TrainedRun,
    reference: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    hidden: Collection[str] = (),
) -> list[Quantity]:
    """Return the columns of the tables that a network reads, from raw rows; without `hidden` ones."""
    read = [column for field in trained.data.fields if field.name in trained.fields for column in field.columns]
    quantities: list[Quantity] = []
    for column in {column.name: column for column in read}.values():
        date = column.date_column
        name = column.name if column.name in reference[0] else date or column.name
        if name in reference[0] and not {name, date} & set(hidden):
            quantities += _column(name, *([_value(column, name, row) for row in part] for part in (reference, rows)))
    return quantities


def _value(column: ColumnEncoder, name: str, row: Mapping[str, Any]) -> Any:
    """Return the value of a column in a raw row, in the form of the data, such as 1 for a boolean that is sent as true;
    that of a part of a date also from a row with the date itself."""
    date = column.date_column
    if isinstance(column, NumberEncoder) and date and name == column.name and name not in row and date in row:
        return column.part_of(row[date])
    return column.comparable(row.get(name)) if name == column.name else row.get(name)


def hidden_keys(field: FieldEncoder[Any], hidden: Collection[str]) -> set[str]:
    """Return the keys of a raw row that a field reads and that are hidden."""
    read = {item.name for item in modality_of(field).row_fields(field)} | {column.name for column in field.columns}
    return read & set(hidden)


def summaries(
    trained: TrainedRun, training: Mapping[str, Any], reference: Mapping[str, Any], inputs: Mapping[str, Any]
) -> list[Quantity]:
    """Return summaries of the fields other than tables, such as brightness, from encoded rows (R, …) and (N, …).

    `training` are encoded training rows. `inputs` can lack fields, which are left out.
    """
    quantities = []
    for field in trained.data.fields:
        if field.name not in inputs or field.columns:
            continue
        before, after = reference[field.name].numpy(), inputs[field.name].numpy()
        modality = modality_of(field)
        first, second = (modality.summaries(field, values, training[field.name].numpy()) for values in (before, after))
        quantities += [Quantity(f"{field.name}: {name}", first[name], second[name]) for name in first]
    return quantities


def predictions(
    trained: TrainedRun, reference: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> list[Quantity]:
    """Return what the task monitors of predictions, and their confidence, from the answers of `runs.predict`, or from
    their logged parts. Rows without a value are left out, such as the mean score of objects where there are none."""
    quantities: list[Quantity] = []
    before, after = ([_monitored(trained, answer) for answer in part] for part in (reference, answers))
    for name in dict.fromkeys(name for values in before for name in values):
        if any(name in values for values in after):
            known = ([values[name] for values in part if name in values] for part in (before, after))
            quantities += _column(name, *known)
    confidence = [[confidence_of(answer) for answer in part] for part in (reference, answers)]
    if all(value is not None and math.isfinite(value) for part in confidence for value in part):
        quantities.append(Quantity("confidence", *(np.array(part, dtype=np.float64) for part in confidence)))
    return quantities


def _monitored(trained: TrainedRun, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if MONITORED in answer:
        logged: Mapping[str, Any] = answer[MONITORED]
        return logged
    if answer["prediction"] is None:  # too large for the log of an earlier version
        return {}
    return trained.objective.task.monitored_values(answer, trained.data.schema)


def _column(name: str, reference: list[Any], current: list[Any]) -> list[Quantity]:
    before, after = _numbers(reference), _numbers(current)
    if before is None or len(np.unique(before[np.isfinite(before)])) < MIN_NUMBERS:
        return [Quantity(name, _texts(reference), _texts(current))]
    if after is None:
        # A text where training had numbers is missing for the network.
        after = np.array([_number(value) for value in current])
    quantities = [Quantity(name, before[np.isfinite(before)], after[np.isfinite(after)])]
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        is_missing = [np.where(np.isfinite(part), "known", MISSING) for part in (before, after)]
        quantities.append(Quantity(f"{name} is missing", *is_missing))
    return quantities


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
    return np.array([MISSING if missing else _text(value) for value, missing in zip(values, is_missing, strict=True)])


def _text(value: Any) -> str:
    """Return a category as text. A number that is stored as 1.0 and sent as 1 is one category."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return f"{float(value):.12g}" if is_number else str(value)
