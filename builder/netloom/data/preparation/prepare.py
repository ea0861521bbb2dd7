"""Prepares the data that a document chooses, as tensors."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from netloom.core.data_folder import home as default_home
from netloom.core.delegation import Delegable
from netloom.core.errors import DataError
from netloom.core.field_errors import field_errors, summary
from netloom.data.applied_settings import with_columns, with_fields
from netloom.data.builtin_registry import builtin
from netloom.data.caching import memmap_cache
from netloom.data.caching.single_flight import once
from netloom.data.noise_field import OPTION, with_noise
from netloom.data.preparation.deduplication import without_repeats
from netloom.data.preparation.default_preprocessing import with_preparation
from netloom.data.preparation.encoded_arrays import encoded
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.preparation.preprocess import Preprocess
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import DatasetInfo, Schema
from netloom.data.settings.column_settings import COLUMNS, FIELDS, field_choices
from netloom.data.splits.split import split
from netloom.data.targets import target_of
from netloom.data.targets.fitted_target import FittedTarget
from netloom.data.uploads import find_upload, has_upload, identified, read_upload, uploaded
from netloom.data.uploads import remove as remove_upload
from netloom.document import DataChoice, Project
from netloom.modalities.encoding.field_encoder import field_encoder


def with_dataset_id(project: Project, home: Path) -> Project:
    """Return the document with the id of an upload instead of its title. Titles are not unique, and saved documents
    must find the same data."""
    data = project.data if project.data.dataset in builtin() else identified(project.data, home)
    return project if data == project.data else project.model_copy(update={"data": data})


def datasets(home: Path | None = None) -> list[DatasetInfo]:
    """Return the built-in datasets, then the uploads."""
    return [*_bundled(), *uploaded(home or default_home())]


@functools.cache
def _bundled() -> tuple[DatasetInfo, ...]:
    return tuple(
        DatasetInfo(
            dataset.name,
            dataset.title,
            dataset.kind,
            dataset.task,
            dataset.summary,
            dataset.example_count,
            known_as=dataset.known_as,
        )
        for dataset in builtin().values()
    )


def schema(choice: DataChoice, home: Path | None = None) -> Schema | None:
    """Return the fields and the target of the chosen data, or None without a choice. The first call reads the data.

    Raises:
        DataError: it cannot be read.
    """
    return _schema(*choice_key(choice, home)) if choice.dataset else None


def prepare(choice: DataChoice, home: Path | None = None) -> Prepared:
    """Return the chosen data, split and preprocessed. The last few results stay in memory.

    Raises:
        DataError: there is no such data, its options are invalid, or it is too small to split.
    """
    forget_removed()  # another process may have removed a file that this one has mapped
    return _prepare(*choice_key(choice, home))


def choice_key(choice: DataChoice, home: Path | None) -> tuple[str, str]:
    """Return the cache key of a choice: built-in data is the same in every data folder.

    Raises:
        DataError: the upload was removed, by this process or another.
    """
    is_upload = choice.dataset not in builtin()
    home = home or default_home()
    if is_upload and choice.dataset:
        find_upload(choice.dataset, home)
        choice = identified(choice, home)
    value = choice.model_dump(mode="json")
    if value["validation_of"] == DataChoice.model_fields["validation_of"].default:
        del value["validation_of"]  # so that what older versions stored beside large data is found again
    # Built-in data is cached once, whatever the data folder
    return json.dumps(value, sort_keys=True), str(home) if is_upload else ""


def remove(name: str, home: Path) -> None:
    """Delete an upload, and clear its cache in this process: mapped files occupy the disk until they are closed.

    Raises:
        DataError: there is no upload of this name.
    """
    remove_upload(name, home)
    forget_removed()


def forget_removed() -> None:
    """Remove uploads that do not exist any more from the cache of this process. Schemas remain, as they map no files
    and `choice_key` refuses removed uploads; to check each of them would take longer than to find prepared data."""
    _prepare.forget(_is_gone)


def clear_cache() -> None:
    """Clear the cache of this process, so that the next call reads the data again."""
    for cache in (_schema, _prepare):
        cache.cache_clear()


def _is_gone(key: str, home: str) -> bool:
    """Return whether data is an upload that was removed."""
    return bool(home) and not has_upload(str(json.loads(key)["dataset"]), Path(home))


@once(256)
def _schema(key: str, home: str) -> Schema:
    return _prepare(key, home).schema


@once(4)
def _prepare(key: str, home: str) -> Prepared:
    return prepared(key, home)


@Delegable
def prepared(key: str, home: str) -> Prepared:
    """Return the data of a choice by its `choice_key`. A web server delegates this to a worker."""
    choice = DataChoice.model_validate_json(key)
    raw = read(choice, Path(home))
    _give_back()
    # Refused before all rows are encoded in vain
    if raw.large and choice.duplicates == "drop":
        raise DataError("Data that is larger than memory cannot be searched for duplicates; keep them.")
    parts = split(raw, choice)
    folder = raw.folder if raw.large else None
    preprocess = Preprocess.from_json(
        memmap_cache.remembered(
            folder,
            f"fitted-{memmap_cache.key(key)}",
            lambda: _fitted(raw, parts["train"], choice.prepare == "standardize").to_json(),
        )
    )
    inputs, files = encoded(preprocess.fields, raw)
    if choice.duplicates == "drop":
        parts = without_repeats(parts, inputs, raw.target)
    # The weights of all training rows can be 0
    weights = None if raw.weights is None else raw.weights / (raw.weights[parts["train"]].mean() or 1.0)
    return Prepared(
        schema=_schema_of(raw, preprocess),
        inputs=inputs,
        target=_encoded_target(raw, preprocess),
        split={name: rows.astype(np.int64, copy=False) for name, rows in parts.items()},
        preprocess=preprocess,
        fingerprint=memmap_cache.remembered(folder, f"fingerprint-{memmap_cache.key(raw.identity)}", raw.fingerprint),
        raw=raw,
        masks=raw.masks,
        weights=None if weights is None else weights.astype(np.float32),
        files=files,
    )


def prepared_with(data: Prepared, preprocess: Preprocess) -> Prepared:
    """Return the same data with an earlier fitted state."""
    raw = in_class_order(data.raw, preprocess)
    inputs, files = encoded(preprocess.fields, raw)
    return replace(
        data,
        raw=raw,
        schema=_schema_of(raw, preprocess),
        inputs=inputs,
        target=_encoded_target(raw, preprocess),
        preprocess=preprocess,
        files=files,
    )


def in_class_order(raw: RawDataset, preprocess: Preprocess) -> RawDataset:
    """Return raw data with its classes in the order of an earlier fitted state, on which the outputs of a network
    depend; unchanged if it has other classes or another target."""
    fitted = preprocess.target
    return target_of(raw.target_kind).ordered(raw, fitted) if fitted.kind == raw.target_kind else raw


def _schema_of(raw: RawDataset, preprocess: Preprocess) -> Schema:
    encoders = list(map(field_encoder, preprocess.fields))
    return Schema(raw.specs(encoders), target_of(raw.target_kind).spec(raw, encoders[-1]), len(raw))


def _encoded_target(raw: RawDataset, preprocess: Preprocess) -> np.ndarray:
    target = target_of(raw.target_kind)
    encoded_target: np.ndarray = target.encode(raw, field_encoder(preprocess.fields[-1]), preprocess.target)
    return encoded_target


def _give_back() -> None:
    """Release the memory that Arrow retains after reading a table, a third of the peak."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()


def read(choice: DataChoice, home: Path) -> RawDataset:
    """Return the chosen raw data.

    Raises:
        DataError: there is no such data, or its options are invalid.
    """
    if not choice.dataset:
        raise DataError("No data is chosen; choose a dataset first.")
    # Each branch peels off one kind of settings and applies it to the data read without it. The innermost is applied
    # first: `prepare` comes last, as it only fills in what the settings of fields and columns leave open.
    if choice.prepare != "standardize":
        return with_preparation(read(choice.model_copy(update={"prepare": "standardize"}), home), choice.prepare)
    if FIELDS in choice.options:
        settings = field_choices(choice.options[FIELDS])
        options = {name: value for name, value in choice.options.items() if name != FIELDS}
        return with_fields(read(choice.model_copy(update={"options": options}), home), settings)
    if OPTION in choice.options:
        options = {name: value for name, value in choice.options.items() if name != OPTION}
        return with_noise(read(choice.model_copy(update={"options": options}), home), choice.options[OPTION])
    dataset = builtin().get(choice.dataset)
    if dataset is None:
        return read_upload(choice, home).with_any_size()
    if COLUMNS in choice.options:
        options = {name: value for name, value in choice.options.items() if name != COLUMNS}
        return with_columns(read(choice.model_copy(update={"options": options}), home), choice.options[COLUMNS])
    try:
        return dataset.model_validate(choice.options).read()
    except ValidationError as error:
        errors = field_errors(error, dataset, "option", repr(dataset.title))
        raise DataError(f"{dataset.title}: {summary(errors)}") from None


def _fitted(raw: RawDataset, rows: np.ndarray, standardized: bool) -> Preprocess:
    """Return the state fitted on the training rows; with numeric targets in the units of the data if not
    `standardized`."""
    target: FittedTarget = target_of(raw.target_kind).fit(raw, rows)
    return Preprocess(tuple(raw.fits(rows)), target if standardized else target.unscaled())


def bigram_entropy(prepared: Prepared) -> float:
    """Return the cross-entropy in nats per token of a bigram model of the training split on the test split, as a
    baseline of language models.

    Counts are smoothed by ½ (Krichevsky and Trofimov, 1981, https://doi.org/10.1109/TIT.1981.1056331).

    Raises:
        DataError: the target is not the next token.
    """
    if not prepared.schema.target.type.continues_text:
        raise DataError("Only data for next-token prediction has pairs of tokens; choose such data.")
    field = prepared.schema.inputs[0]
    size = field.vocabulary or 1
    counts = np.full((size, size), 0.5)
    train, test = prepared.rows["train"], prepared.rows["test"]
    before, after = prepared.input_values(field.name), prepared.target_values
    # Unlike `counts[...] += 1`, this counts repeated pairs more than once
    np.add.at(counts, (before[train].ravel(), after[train].ravel()), 1)
    shares = counts / counts.sum(1, keepdims=True)
    return float(-np.log(shares[before[test].ravel(), after[test].ravel()]).mean())
