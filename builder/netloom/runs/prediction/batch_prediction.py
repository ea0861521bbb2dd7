"""Predictions for the rows of a file, and the files that hold them beside the inputs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.spreadsheets import safe_cell
from netloom.modalities.encoding.rows import Answer
from netloom.runs.prediction.trained_run import predict
from netloom.tasks.answers import confidence_of

if TYPE_CHECKING:
    from netloom.runs.prediction.trained_run import TrainedRun

Row = Mapping[str, Any]
# The rows between two reports of progress.
CHUNK = 256


def predict_rows(
    trained: TrainedRun, rows: Sequence[Row], progress: Callable[[float], None] = lambda share: None
) -> list[Answer]:
    """Return the predictions for raw rows. `progress` receives the share that is complete.

    Raises:
        DataError: a row does not fit; the message says which row and why.
    """
    answers: list[Answer] = []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        try:
            answers += predict(trained, chunk)
        except (DataError, ValueError, TypeError, OverflowError):
            # The exception does not say which row it was; encoding them one by one finds out.
            for number, row in enumerate(chunk, start + 1):
                _check_row(trained, number, row)
            raise
        progress(min(start + CHUNK, len(rows)) / len(rows))
    return answers


def _check_row(trained: TrainedRun, number: int, row: Row) -> None:
    try:
        trained.data.encode(row, trained.fields)
    except DataError as error:
        raise DataError(f"Row {number}: {error}") from None
    except (ValueError, TypeError, OverflowError):
        names = ", ".join(f"{field.name} {field.kind} {field.shape}" for field in trained.data.schema.inputs)
        raise DataError(f"Row {number} does not fit the inputs of the network: expected {names}.") from None


def as_csv(rows: Iterable[Row], answers: Iterable[Answer]) -> str:
    """Return the cells of `table_row` as CSV.

    A text that a spreadsheet would run as a formula is preceded by an apostrophe.
    """
    lines = [table_row(row, answer) for row, answer in zip(rows, answers, strict=True)]
    names = list(dict.fromkeys(name for line in lines for name in line))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(safe_cell(name) for name in names)
    for line in lines:
        writer.writerow(safe_cell(cell_text(line.get(name))) for name in names)
    return stream.getvalue()


def as_json_lines(rows: Iterable[Row], answers: Iterable[Answer]) -> str:
    """Return a line of JSON per row, with its `input`, the answer and its `confidence`, if it has one. Inputs that are
    arrays are left out."""
    lines = (
        {"input": _shown(row), **answer, **({} if (sure := confidence_of(answer)) is None else {"confidence": sure})}
        for row, answer in zip(rows, answers, strict=True)
    )
    return "".join(f"{json.dumps(line, ensure_ascii=False, default=str)}\n" for line in lines)


def table_row(row: Row, answer: Answer) -> JsonObject:
    """Return the cells of a row by column: the inputs that are not arrays, the prediction, and where they exist, the
    confidence and what the calibration of the run adds. Columns of the prediction never hide those of the inputs."""
    cells = _shown(row)
    interval: Mapping[str, Any] = answer.get("interval", {})
    for name, value in (
        ("prediction", answer.get("shares") or answer["prediction"]),
        ("confidence", confidence_of(answer)),
        ("prediction set", answer.get("prediction_set")),
        ("low", interval.get("low")),
        ("high", interval.get("high")),
        ("abstained", answer.get("abstained")),
    ):
        if value is None:
            continue
        while name in cells:
            name = f"{name} of the network"
        cells[name] = value
    return cells


def _shown(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not isinstance(value, np.ndarray)}


def cell_text(value: Any) -> Any:
    """Return a value as a cell: lists of texts separated by commas, other lists and objects as JSON."""
    if isinstance(value, (Mapping, list, tuple)):
        if not isinstance(value, Mapping) and all(isinstance(part, str) for part in value):
            return ", ".join(value)
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None else value
