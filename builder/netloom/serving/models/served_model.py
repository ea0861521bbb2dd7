"""One version of a model: a run with its weights, ready to answer raw rows."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.chat import Policy, Writers, starting_policy, unavailable_reason
from netloom.core.errors import DataError, UsageError
from netloom.data.tables.raw_rows import unknown_in, with_warnings
from netloom.data.tables.record_reader import RecordReader
from netloom.explain.core.cache import weights_hash
from netloom.modalities.columns.date import iso_dates
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.fields.registry import modality_of
from netloom.modalities.row_field import RowField
from netloom.runs.prediction.trained_run import (
    CHECKSUM_LENGTH,
    TrainedRun,
    answers,
    calibration_checksum_of,
    checksum_of,
)
from netloom.serving.errors import RequestError
from netloom.serving.models.backend import Backend, pytorch
from netloom.serving.server_settings import DEFAULT_BACKEND
from netloom.tasks import task
from netloom.tasks.answers import CALIBRATED, AnswerPart
from netloom.tasks.true_labels import TrueLabel

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.modalities.encoding.field_encoder import FieldEncoder

Row = dict[str, Any]
Answer = dict[str, Any]
Outcome = Answer | RequestError
# A batch gives the answers of single rows up to rounding: float32 has 7 digits. A network above this bound, such as
# one whose outputs depend on the other rows of the batch, is computed row by row.
MAX_DIFFERENCE = 1e-5
_WARM_UP_S = 3.0
_UNENCODABLE = (DataError, EncodeError, ValueError, TypeError, OverflowError, KeyError, AttributeError, IndexError)


class ServedModel:
    """A run that answers raw rows; with PyTorch, equal to `runs.predict` for each row.

    `predict` computes rows of several requests at once and must not be called by two threads at the same time.

    Attributes:
        version: the run, its weights with their calibration, and the backend unless it is PyTorch; the version of the
            Open Inference Protocol.
        checksum: the beginning of the checksum of the weights, by which their file is found, or of an ONNX file.
        calibration_checksum: that of the calibration; "" without one.
        explained: the run, with the network of an ONNX file that is served instead; `explained_weights` is its hash.
        fields: the keys of a raw row.
        reader: reads the records of requests as raw rows.
        parts: the keys of an answer without its calibration, which another version can lack.
        row_keys: all keys that a raw row can have for the network.
        spellings: groups of keys that can have the same value, such as a date and its parts.
        true_label: the kind of labels that clients can report later; None if none measures a prediction.
        chat_obstacle: why the run cannot chat, as a sentence; "" if it can.
        chat_policy: its response policy if it can.
        writers: the runs that generate responses of the policy.
        difference: the largest measured difference between the outputs of a batch and those of its rows computed one by
            one, relative to the largest output. 0 if the rows are computed one by one.
    """

    def __init__(
        self,
        name: str,
        trained: TrainedRun,
        *,
        max_rows: int = 64,
        is_exact: bool = False,
        backend: Backend | None = None,
        policy: Policy | None = None,
        writers: Writers | None = None,
        explained: TrainedRun | None = None,
    ) -> None:
        self.name, self.trained, self.max_rows = name, trained, max_rows
        self.backend = backend or pytorch(trained)
        self.chat_obstacle = unavailable_reason(trained)
        self.chat_policy = policy or (None if self.chat_obstacle else starting_policy(trained.data.schema))
        self.writers = writers or Writers(trained, _no_run)
        self.run_id = trained.run.id if trained.run is not None else ""
        self.weights = weights_hash(trained.model)
        self.explained = explained or trained
        self.explained_weights = weights_hash(self.explained.model)
        self.checksum = self.backend.content_hash[:CHECKSUM_LENGTH] or checksum_of(trained)
        self.calibration_checksum = calibration_checksum_of(trained)
        self.version = _version(trained, self.weights, self.backend)
        self.encoders: list[FieldEncoder[Any]] = [
            encoder for encoder in trained.data.fields if encoder.name in trained.fields
        ]
        self.fields = row_fields(self.encoders)
        self.reader = RecordReader(self.encoders)
        self.task = task(trained.project.training.objective)
        self.parts: tuple[AnswerPart, ...] = self.task.answer_parts(trained.data.schema)
        self._columns = [column for encoder in self.encoders for column in encoder.columns]
        self.spellings = spellings(self.encoders)
        self.row_keys = frozenset(
            [*(item.name for item in self.fields), *(name for group in self.spellings for name in group)]
        )
        self.true_label: TrueLabel | None = self.task.true_label(trained.data.schema)
        self.is_exact, self.difference = True, 0.0
        self._warm_up(is_exact)

    @property
    def title(self) -> str:
        """The name of the model with its version, for messages and headers."""
        return f"{self.name}/{self.version}"

    @cached_property
    def all_parts(self) -> tuple[AnswerPart, ...]:
        """The keys of an answer, and those that its calibration adds."""
        applied = self.trained.applied
        return (*self.parts, *(CALIBRATED[name] for name in (applied.answer_keys if applied else ())))

    @cached_property
    def preprocess(self) -> dict[str, object]:
        """The fitted state of the fields that the network reads, as plain JSON."""
        return self.trained.preprocess.to_json()

    @cached_property
    def example(self) -> Row:
        """A raw row of the test split, as plain JSON values."""
        return example_row(self.trained.data, self.encoders)

    def monitored_values(self, answer: Answer) -> dict[str, float | str]:
        """Return the numbers and categories of an answer whose distributions are compared in use."""
        return self.task.monitored_values(answer, self.trained.data.schema)

    def predict(self, rows: Sequence[Row]) -> list[Outcome]:
        """Return for each row its answer, or why it has none."""
        try:
            inputs = self.encode(rows)
        except _UNENCODABLE:
            return self._predict_valid(rows)
        return self._answers(rows, inputs)

    def encode(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Return raw rows as tensors (N, …) by field.

        Raises:
            EncodeError, TypeError, …: a row has an invalid value.
        """
        import torch

        plain_rows = list(rows)
        return {encoder.name: torch.from_numpy(encoder.encode(plain_rows)) for encoder in self.encoders}

    def output(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the outputs of the network (N, …) for encoded rows."""
        import torch

        rows = len(next(iter(inputs.values())))
        if rows == 1:
            return self.backend.output(inputs)
        if self.is_exact:
            each = [{name: values[row : row + 1] for name, values in inputs.items()} for row in range(rows)]
            return torch.cat([self.backend.output(row) for row in each])
        return torch.cat(
            [
                self._padded_output({name: values[start : start + self.max_rows] for name, values in inputs.items()})
                for start in range(0, rows, self.max_rows)
            ]
        )

    def _padded_output(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the outputs of a batch that is padded to a power of two: oneDNN prepares each new shape, which takes
        as long as hundreds of rows."""
        import torch

        rows = len(next(iter(inputs.values())))
        missing = _padded_size(rows, self.max_rows) - rows
        if not missing:
            return self.backend.output(inputs)
        padded = {
            name: torch.cat([values, values[-1:].expand(missing, *values.shape[1:])]) for name, values in inputs.items()
        }
        return self.backend.output(padded)[:rows]

    def _answers(self, rows: Sequence[Row], inputs: Mapping[str, torch.Tensor]) -> list[Outcome]:
        answered = answers(self.trained, inputs, self.output)
        if self._columns:
            answered = with_warnings(answered, unknown=unknown_in(self._columns, rows))
        # JSON has neither NaN nor infinity, and a class chosen among NaN means nothing
        return [answer if _is_finite(answer) else self._overflow_error() for answer in answered]

    def _predict_valid(self, rows: Sequence[Row]) -> list[Outcome]:
        """Return the outcomes of the rows that can be encoded, and the errors of the others."""
        errors: dict[int, RequestError] = {}
        for index, row in enumerate(rows):
            try:
                self.encode([row])
            except _UNENCODABLE as error:
                errors[index] = self._row_error(error)
        valid = [row for index, row in enumerate(rows) if index not in errors]
        answered = iter(self._answers(valid, self.encode(valid)) if valid else [])
        return [errors[index] if index in errors else next(answered) for index in range(len(rows))]

    def _row_error(self, error: Exception) -> RequestError:
        if isinstance(error, (DataError, EncodeError)):
            return RequestError(str(error))
        expected = ", ".join(field.name for field in self.fields)
        return RequestError(
            f"The row does not fit the model {self.name!r}: a value of {expected[:200]} has an unexpected type or "
            "shape; /openapi.json describes them."
        )

    def _overflow_error(self) -> RequestError:
        return RequestError(
            f"The prediction of the model {self.name!r} for this row is not a finite number; check whether the values "
            "of the row are in the range of the training rows.",
            422,
        )

    def _warm_up(self, is_exact: bool) -> None:
        """Compute a row and batches once, and measure how far batches differ from single rows."""
        import torch

        split = self.trained.data.split
        numbers = next(part for part in (split["test"], split["validation"], split["train"]) if len(part))
        rows = numbers[torch.arange(self.max_rows) % len(numbers)]
        inputs = {name: self.trained.data.inputs[name][rows] for name in self.trained.fields}
        answers(self.trained, {name: values[:1] for name, values in inputs.items()}, self.output)  # and calibrate
        if is_exact or self.max_rows == 1:
            return
        start = time.perf_counter()
        for size in _sizes(self.max_rows):
            part = {name: values[:size] for name, values in inputs.items()}
            single = self.output(part)  # row by row, because `is_exact` is still true
            batch = self.backend.output(part)
            scale = max(float(single.abs().max()), 1e-30)
            difference = float((batch - single).abs().max()) / scale
            if not difference <= MAX_DIFFERENCE:  # also if it is NaN
                self.difference = 0.0
                return
            self.difference = max(self.difference, difference)
            if time.perf_counter() - start > _WARM_UP_S:
                break
        self.is_exact = False


def _no_run(run: str) -> TrainedRun:
    raise UsageError(f"The run {run!r}, which generates responses, is not loaded.")


def _version(trained: TrainedRun, weights: str, backend: Backend) -> str:
    """Return the version by all that determines the answers: the run, the weights, the calibration, an ONNX file that
    is served instead of the weights, and the backend."""
    run = trained.run.id[:8] if trained.run is not None else "local"
    parts = [weights, *([str(trained.applied)] if trained.applied else []), *filter(None, [backend.content_hash])]
    digest = weights if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()
    return "-".join((run, digest[:8], *([] if backend.name == DEFAULT_BACKEND else [backend.name])))


def _is_finite(value: Any) -> bool:
    """Return whether all numbers in plain JSON are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        # Long lists, such as the pixels of an image, consist of numbers only
        return all(map(math.isfinite if set(map(type, value)) <= {int, float} else _is_finite, value))
    return True


def _padded_size(rows: int, most: int) -> int:
    """Return the next power of two, or the largest batch."""
    return min(most, 1 << (rows - 1).bit_length())


def _sizes(most: int) -> list[int]:
    """Return the sizes of padded batches."""
    return sorted({_padded_size(rows, most) for rows in range(2, most + 1)})


def spellings(encoders: Iterable[FieldEncoder[Any]]) -> list[set[str]]:
    """Return groups of keys of a raw row by which it can have the same value: the name of a field and its source
    column; a date and its parts; or a column alone."""
    groups = [{encoder.name, encoder.source_column or encoder.name} for encoder in encoders if not encoder.columns]
    by_column: dict[str, set[str]] = {}
    for encoder in encoders:
        for column in encoder.columns:
            name = column.date_column or column.name
            by_column.setdefault(name, {name}).add(column.name)
    return [*groups, *by_column.values()]


def row_fields(encoders: Iterable[FieldEncoder[Any]]) -> tuple[RowField, ...]:
    """Return the keys of a raw row for the fields that a network reads."""
    fields = [field for encoder in encoders for field in modality_of(encoder).row_fields(encoder)]
    return tuple({field.name: field for field in fields}.values())


def example_row(data: Prepared, encoders: Sequence[FieldEncoder[Any]]) -> Row:
    """Return what the given fields read of a row, as plain JSON values; a row of the test split if it has rows."""
    rows = next(data.rows[name] for name in ("test", "validation", "train") if len(data.rows[name]))
    raw = data.row(int(rows[0]))
    # Rows of the data have the field by its name, requests by its column.
    raw |= {field.source_column: field.raw_value(raw) for field in encoders if field.source_column}
    columns = [column for encoder in encoders for column in encoder.columns]
    raw |= iso_dates(columns, raw)
    # The parts of a date take its place where it cannot be restored from them
    parts = [column.name for column in columns if column.date_column and column.date_column not in raw]
    datatypes = {field.name: field.datatype for field in row_fields(encoders)}
    names = [*datatypes, *parts]
    return {name: _plain(raw[name], datatypes.get(name) == "BOOL") for name in names if name in raw}


def _plain(value: Any, is_boolean: bool = False) -> Any:
    """Return a value as plain JSON; booleans are numbers in raw rows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return _plain(value.item(), is_boolean)
    if value is None or value != value:
        return None
    return bool(value) if is_boolean else value
