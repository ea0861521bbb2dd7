"""Changes of the settings of columns, for the Data page and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.data.quality.overview import Column
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.tables.targets import SEVERAL, requested_target
from netloom.modalities.columns.registry import column_kind


def with_changed_columns(
    options: Mapping[str, Any],
    columns: Sequence[Column],
    changes: Mapping[str, Mapping[str, Any]],
    *,
    predicts_numbers: bool = False,
) -> JsonObject:
    """Return the options of the data with changes of columns by name; a setting that is changed to None is removed.

    A column with another kind loses its other settings but the role. A column that becomes the target makes the other
    targets inputs, unless several targets go together.

    Args:
        columns: All columns with their current settings.
        predicts_numbers: Whether the current target consists of numbers.
    """
    settings_of = {column.name: column.choice.plain() for column in columns}
    for name, change in changes.items():
        column = next(column for column in columns if column.name == name)
        _change(settings_of[name], change, column)
        if change.get("role") == "target":
            _only_target(options, settings_of, columns, column, predicts_numbers)
    return _with_columns(options, settings_of)


def with_targets(
    options: Mapping[str, Any], columns: Sequence[Column], names: Sequence[str], task: str | None
) -> JsonObject:
    """Return the options of the data that make these columns the targets, and the previous targets inputs.

    Args:
        task: The task of the current targets in the document or in the upload.
    """
    settings_of = {column.name: column.choice.plain() for column in columns}
    for column in columns:
        if (column.role == "target") != (column.name in names):
            settings_of[column.name]["role"] = "target" if column.name in names else "input"
    # The tasks of one target and of several differ, so the chosen one is kept only from several to several.
    task = task if len(names) > 1 and len(targets_of(columns)) > 1 else None
    if task is None and not all(column_kind(column.kind).is_number for column in columns if column.name in names):
        task = SEVERAL if len(names) > 1 else None
    return {**_with_columns(options, settings_of), "task": task}


def targets_of(columns: Sequence[Column]) -> list[str]:
    """Return the names of the target columns."""
    return [column.name for column in columns if column.role == "target"]


def _change(settings: dict[str, Any], change: Mapping[str, Any], column: Column) -> None:
    """Apply the changes of one column to its settings."""
    kind = change.get("kind")
    if kind is not None and kind != column.kind:
        role = settings.get("role")
        settings.clear()  # the settings belong to the previous kind
        settings |= {"role": role} if role else {}
    if "impute" in change:
        settings.pop("fill", None)
        if change["impute"] == "constant":
            settings["fill"] = column_kind(kind or settings.get("kind", column.kind)).constant
    for name, value in change.items():
        settings.pop(name, None)
        if value is not None and not (name == "kind" and value == column.kind and column.choice.kind is None):
            settings[name] = value


def _only_target(
    options: Mapping[str, Any],
    settings_of: dict[str, dict[str, Any]],
    columns: Sequence[Column],
    target: Column,
    predicts_numbers: bool,
) -> None:
    """Make the other targets inputs, unless the task has several targets or all of them are numbers."""
    target_type = requested_target(options)
    if (
        target_type is not None
        and (target_type.is_multi_label or target_type.is_several)
        and len(targets_of(columns)) > 1
    ):
        return
    kind = settings_of[target.name].get("kind") or target.kind
    if predicts_numbers and column_kind(kind).is_number:
        return
    for column in columns:
        if column.role == "target" and column.name != target.name:
            settings_of[column.name]["role"] = "input"


def _with_columns(options: Mapping[str, Any], settings_of: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    other_options = {name: value for name, value in options.items() if name != COLUMNS}
    changed = {name: settings for name, settings in settings_of.items() if settings}
    return {**other_options, COLUMNS: changed} if changed else other_options
