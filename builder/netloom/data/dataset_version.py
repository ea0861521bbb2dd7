"""A version of a dataset with collected examples: an upload with the rows of its split, and more training rows.

Validation and test rows stay as they are, so that runs on both versions can be compared.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback, ignore_progress
from netloom.data.boxes import padded, predicted_objects, present
from netloom.data.limits import MAX_CELLS
from netloom.data.mask_values import VOID
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.raw.series import forecast_of
from netloom.data.raw.texts import TaggedTexts
from netloom.data.schema import DatasetInfo, TargetSpec
from netloom.data.sequence_pairs import Pairs
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.splits.given_splits import NAMES
from netloom.data.tables.targets import SEPARATORS
from netloom.data.targets.fitted_target import restored_parts
from netloom.data.uploads import add_file
from netloom.data.uploads.kinds.arrays import CLASS_NAMES, SAMPLE_RATE
from netloom.data.version_files import (
    Examples,
    VersionFile,
    answers_file,
    forecast_file,
    free_name,
    tagged_file,
    why_no_forecast_file,
)
from netloom.modalities.columns.date import with_dates
from netloom.modalities.encoding.cells import EncodeError

if TYPE_CHECKING:
    from pathlib import Path

MAX_ROWS = 200_000
SEPARATOR = SEPARATORS[0]  # between the labels of a row


def why_no_version(data: Prepared) -> str:
    """Return why data cannot get a version with collected examples, as a sentence; "" if it can."""
    target, raw = data.schema.target, data.raw
    if len(raw) > MAX_ROWS:
        return f"A version has at most {MAX_ROWS:,} rows; this data has {len(raw):,}."
    if isinstance(raw, Pairs) or (isinstance(raw, TaggedTexts) and (target.type.is_tags or target.tags)):
        return ""
    if target.type.is_in_image:
        return "" if _is_picture(data) else "A version with masks can be made of images; this data is of another kind."
    if target.forecast is not None:
        return why_no_forecast_file(data)
    is_several = target.type.is_several or len(target.number_names) > 1
    if not (target.type.is_class or target.type.is_multi_label or target.type.is_number or is_several):
        return (
            "A version needs data with classes, numbers or a set of labels to predict per row, a tag per word, a class "
            "per pixel, objects in images, an answer per text, or a forecast; this data is for predicting "
            f"{target.type.phrase}."
        )
    if is_several and not _is_table(data):
        return "A version with several targets per row can be made of tables; this data is of another kind."
    if target.type.is_multi_label and any(SEPARATOR in name for name in target.classes):
        return f"The names of the labels of this data contain {SEPARATOR!r}, which separates labels in a version."
    if raw.contiguous:
        return "The rows of this data are windows of a series, which single examples cannot continue."
    if len(raw.parts) > 1 or not (_is_table(data) or _is_text(data) or _is_picture(data) or _is_sound(data)):
        return (
            "A version can be made of tables, of texts, of series, of images and of sounds; this data is of another "
            "kind."
        )
    if _is_sound(data) and (samples := len(raw) * data.fields[0].raw_shape[0]) > MAX_CELLS:
        return f"A version has at most {MAX_CELLS:,} samples of sounds; this data has {samples:,}."
    return ""


def make_version(
    data: Prepared, examples: Examples, home: Path, title: str, progress: ProgressCallback = ignore_progress
) -> DatasetInfo:
    """Store the rows of a dataset with further training rows as an upload.

    Args:
        examples: raw rows with their labels: the name of a class, a number in the unit of the data, several of these by
            the name of their target, a list with a tag for each word, also beside a class, rows with the class number
            of each pixel, objects with a class and a box, a text, or the numbers of a forecast, by series if there are
            several.

    Raises:
        DataError: the data cannot get a version, or an example does not fit it.
    """
    reason = why_no_version(data)
    if reason:
        raise DataError(reason)
    progress(0.1, "Writing the rows")
    file = _file(data, examples)
    return add_file(
        file.content,
        file.filename,
        home,
        name=title,
        target=file.target,
        kind=file.kind,
        options=file.options,
        progress=progress,
    )


def _file(data: Prepared, examples: Examples) -> VersionFile:
    raw, forecast = data.raw, forecast_of(data.raw)
    if isinstance(raw, Pairs):
        return answers_file(data, raw, examples)
    if isinstance(raw, TaggedTexts):
        return tagged_file(data, raw, examples)
    if forecast is not None:
        return forecast_file(data, forecast, examples)
    options: dict[str, Any]
    task = data.schema.target.type.usual_task
    if _is_picture(data) or _is_sound(data):
        view = "picture" if _is_picture(data) else "series"
        options = {"input": "x_train", "view": view, "target": "y_train", "split": None}
        content, has_void = _arrays(data, examples)
        if data.schema.target.type.is_per_pixel:
            options["void"] = has_void
        elif not data.schema.target.type.is_boxes:  # masks and boxes are recognized by their shape
            options["task"] = task
        return VersionFile(content, "version.npz", "arrays", options=options)
    text, split = _csv(data, examples)
    derived = {column.name for field in data.fields for column in field.columns if column.date_column}
    names = {name: {"kind": kind} for name, kind in raw.column_kinds.items() if name not in derived}
    columns = {**names, split: {"role": "split"}} if _is_table(data) else {split: {"role": "split"}}
    targets = _several_targets(data)
    for name, values in targets.items():
        columns[name] = {"role": "target", "kind": "number" if isinstance(values[0], float) else "category"}
    options = {"task": task, COLUMNS: columns}
    if _is_text(data):
        options["text"] = next(iter(data.row(0)))
    return VersionFile(text.encode(), "version.csv", "table", None if targets else data.schema.target.name, options)


def _is_table(data: Prepared) -> bool:
    return bool(data.fields[0].columns)


def _is_text(data: Prepared) -> bool:
    row = data.row(0)
    return len(row) == 1 and isinstance(next(iter(row.values())), str) and not _is_table(data)


def _is_picture(data: Prepared) -> bool:
    row = data.row(0)
    return len(row) == 1 and data.schema.inputs[0].is_image


def _is_sound(data: Prepared) -> bool:
    return len(data.row(0)) == 1 and data.fields[0].sample_rate > 0


def _several_targets(data: Prepared) -> dict[str, list[str] | list[float]]:
    """Return the classes or numbers of all rows for each of several targets, by its name; {} for a single target."""
    names = data.schema.target.number_names
    if len(names) > 1:
        return dict(zip(names, data.restore(data.target).T.tolist(), strict=True))
    return restored_parts(data.fitted_targets, data.target) if data.schema.target.type.is_several else {}


def _check_classes(target: TargetSpec, label: Any, number: int) -> None:
    """Check that the classes in a label of an example are those of the data.

    Raises:
        DataError: one is not.
    """
    labels = label if target.type.is_multi_label else [label]
    if target.classes and (unknown := [name for name in labels if name not in target.classes]):
        raise DataError(f"The label {str(unknown[0])[:60]!r} of example {number} is not a class of the data.")
    for part in target.parts:
        _check_classes(part, label[part.name], number)


def _parts(data: Prepared, examples: Examples) -> list[tuple[str, Mapping[str, Any], Any]]:
    """Return the rows of all parts of the split, and the examples as training rows: (part, row, label)."""
    target, classes = data.schema.target, data.schema.target.classes
    targets = _several_targets(data)
    numbers = None if classes or targets else data.restore(data.target).flatten()

    def label(place: int) -> Any:
        if targets:
            return {name: values[place] for name, values in targets.items()}
        if target.type.is_per_pixel:
            return _with_void(np.asarray(data.target[place]))
        if target.type.is_boxes:
            return present(np.asarray(data.target[place]))
        if target.type.is_multi_label:
            return _joined(name for name, applies in zip(classes, data.target[place].tolist(), strict=True) if applies)
        return classes[int(data.target[place])] if numbers is None else float(numbers[place])

    rows: list[tuple[str, Mapping[str, Any], Any]] = [
        (part, data.row(index), label(index)) for part in NAMES for index in sorted(data.split[part].tolist())
    ]
    for number, (row, value) in enumerate(examples, 1):
        if target.type.is_boxes:
            rows.append((NAMES[0], row, _objects(value, classes, number)))
            continue
        if target.type.is_per_pixel:
            grid = np.asarray(value)
            if grid.shape != tuple(target.shape) or grid.max() >= len(classes):
                raise DataError(
                    f"The label of example {number} is not a mask of the data; paint it again, or delete it."
                )
            rows.append((NAMES[0], row, _with_void(grid)))
            continue
        if targets and (not isinstance(value, Mapping) or set(value) != set(targets)):
            raise DataError(f"The label of example {number} has other targets than the data; correct it, or delete it.")
        _check_classes(target, value, number)
        rows.append((NAMES[0], row, _joined(value) if target.type.is_multi_label else value))
    return rows


def _objects(label: Any, classes: tuple[str, ...], number: int) -> np.ndarray:
    """Return the objects (objects, 5) of a label of an example."""
    try:
        objects = predicted_objects(label, classes)
    except ValueError:
        raise DataError(
            f"The label of example {number} has an object of an unknown class; correct it, or delete it."
        ) from None
    return np.array([(item.number, *item.box) for item in objects], dtype=np.float32).reshape(-1, 5)


def _with_void(mask: np.ndarray) -> np.ndarray:
    """Return class indices (H, W) as bytes, with the value `VOID` for void pixels."""
    return np.where(mask < 0, np.uint8(VOID), mask).astype(np.uint8)  # a mask is int8 if it has few classes


def _joined(labels: Iterable[str]) -> str:
    """Return the labels of a row as one cell."""
    return SEPARATOR.join(labels)


def _csv(data: Prepared, examples: Examples) -> tuple[str, str]:
    """Return the rows as CSV, and the name of the column with their part of the split."""
    encoders = [column for field in data.fields for column in field.columns]
    targets = [*_several_targets(data)] or [data.schema.target.name]
    rows = []
    all_rows = _parts(data, examples)
    for example, (part, row, label) in enumerate(all_rows, 1 + len(examples) - len(all_rows)):
        try:
            plain = {name: cell for column in encoders for name, cell in column.plain_cells(dict(row)).items()}
        except EncodeError as error:
            raise DataError(
                f"Example {example} does not fit the data: {error} Delete it, or collect it again."
            ) from None
        rows.append((part, with_dates(encoders, {**row, **plain}), label))
    names = list(rows[0][1])
    split = free_name("split", (*names, *targets))
    for number, (_, row, _) in enumerate(rows):
        if missing := [name for name in names if name not in row]:
            example = number - (len(rows) - len(examples)) + 1
            raise DataError(f"Example {example} has no value for {missing[0][:60]!r}; delete it, or collect it again.")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, *targets, split])
    for part, row, label in rows:
        labels = [label[name] for name in targets] if isinstance(label, Mapping) else [label]
        writer.writerow([*("" if row[name] is None else row[name] for name in names), *labels, part])
    return text.getvalue(), split


def _values(data: Prepared, examples: Examples, noun: str) -> Iterator[tuple[str, np.ndarray, Any]]:
    """Return the rows of data with one field, a `noun`: the part of the split, the numbers and the label of each."""
    field, shape = data.fields[0], np.shape(next(iter(data.row(0).values())))
    for part, row, label in _parts(data, examples):
        try:
            values = np.asarray(field.raw_value(dict(row)), dtype=np.float32)
        except (EncodeError, ValueError, TypeError):
            raise DataError(f"A collected example has no {noun}; delete it, or collect it again.") from None
        if values.size != int(np.prod(shape)):
            raise DataError(
                f"A collected {noun} has the shape {values.shape}, but those of the data {shape}; delete it, or "
                "collect it again."
            )
        yield part, values.reshape(shape), label


def _arrays(data: Prepared, examples: Examples) -> tuple[bytes, bool]:
    """Return the rows as an NPZ file with images (R, C, H, W) or sounds (R, L, 1), and labels (R, …) of each part,
    and whether masks among these have void pixels."""
    target = data.schema.target
    rows: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    labels: dict[str, list[Any]] = {name: [] for name in NAMES}
    for part, values, label in _values(data, examples, "sound" if _is_sound(data) else "image"):
        rows[part].append(values)
        labels[part].append(label)
    is_bytes = all(
        values.min() >= 0 and values.max() <= 255 and (values == values.astype(np.uint8)).all()
        for values in rows[NAMES[0]]
    )
    if target.type.is_boxes:  # each part has as many rows for objects
        every = padded([objects for part in NAMES for objects in labels[part]])
        ends = np.cumsum([len(labels[part]) for part in NAMES])[:-1]
        labels = dict(zip(NAMES, map(list, np.split(every, ends)), strict=True))
    arrays: dict[str, np.ndarray] = {}
    for part in NAMES:
        if rows[part]:
            stacked = np.stack(rows[part])
            arrays[f"x_{part}"] = stacked.astype(np.uint8) if is_bytes and stacked.max() > 1 else stacked
            arrays[f"y_{part}"] = np.array(labels[part])
    if target.type.is_in_image:
        arrays[CLASS_NAMES] = np.array(target.classes)
    if _is_sound(data):
        arrays[SAMPLE_RATE] = np.array(data.fields[0].sample_rate)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    is_mask = target.type.is_per_pixel
    return file.getvalue(), is_mask and any(bool((masks == VOID).any()) for part in labels.values() for masks in part)
