"""Applies the field and column settings of a document to raw data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.core.errors import DataError
from netloom.core.field_errors import nearest_name
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.column_settings import ColumnChoice, FieldChoice, column_choices
from netloom.data.settings.label_merging import Aliases, aliases_of
from netloom.data.targets import target_of
from netloom.modalities.columns.registry import column_kind


def with_fields(raw: RawDataset, choices: Mapping[str, FieldChoice]) -> RawDataset:
    """Return the data with the field settings of a document.

    Raises:
        DataError: there is no such field, or it does not support the setting.
    """
    names = [part.name for part in raw.parts]
    for name in choices:
        if name not in names:
            listed = ", ".join(repr(known[:40]) for known in names)
            nearest = nearest_name(name, names)
            hint = f"did you mean {nearest[:80]!r}?" if nearest else f"the data has {listed}."
            raise DataError(f"There is no field {name[:80]!r}; {hint}")
    return raw.with_parts(
        [part.with_settings(choices[part.name].plain()) if part.name in choices else part for part in raw.parts]
    )


def with_columns(raw: RawDataset, value: Any) -> RawDataset:
    """Return data with the column settings of a document, which can exclude columns, and with merged target labels.

    Raises:
        DataError: there is no such column, or it does not support the setting.
    """
    value, aliases = _without_target(raw, value)
    raw = target_of(raw.target_kind).merged(raw, aliases)
    if value == {} and aliases:
        return raw
    choices = column_choices(value, [name for part in raw.parts for name in part.column_kinds])
    parts = [_with_columns(part, choices) for part in raw.parts]
    parts = [part for part in parts if not part.is_empty]
    if not parts:
        raise DataError("Every column is ignored, so there is nothing to learn from; keep one of them.")
    return raw.with_parts(parts)


def _without_target(raw: RawDataset, value: Any) -> tuple[Any, dict[str, Aliases]]:
    """Return the column settings of a document without those of the target, and the aliases of target labels."""
    columns = {name for part in raw.parts for name in part.column_kinds}
    # A column with the name of a target takes precedence, as columns are looked up by name
    targets = {raw.target_name, *(part.name for part in raw.target_parts)} - columns
    if not isinstance(value, dict) or not targets & set(value):
        return value, {}
    choices = column_choices({name: settings for name, settings in value.items() if name in targets}, sorted(targets))
    for name, choice in choices.items():
        if set(choice.plain()) - {"aliases"}:
            raise DataError(f"The target {name[:80]!r} of this data accepts only 'aliases'.")
    return {name: settings for name, settings in value.items() if name not in targets}, aliases_of(choices)


def _with_columns(part: RawDataset, choices: Mapping[str, ColumnChoice]) -> RawDataset:
    kinds = part.column_kinds
    for name, kind in kinds.items():
        choice = choices.get(name, ColumnChoice())
        if choice.kind not in (None, kind) or choice.role not in (None, "input", "ignore"):
            raise DataError(
                f"The column {name[:80]!r} of this data is a {kind}, whose role can only be input or ignore."
            )
        column_kind(kind).refuse(name, choice.settings)
        if choice.get("encode") is not None:
            raise DataError(
                f"The data defines how the categories in {name[:80]!r} are encoded; remove the setting encode."
            )
    ignored = {name for name in kinds if name in choices and choices[name].role == "ignore"}
    settings = {name: dict(choices[name].settings) for name in kinds if name in choices}
    return part.with_columns(ignored, settings) if kinds else part
