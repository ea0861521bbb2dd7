"""Fixes of problems in data, as edits of the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.data.quality.finding import Fix, quoted
from netloom.data.quality.quality_view import QualityView


def ignore(view: QualityView, names: Sequence[str]) -> Fix | None:
    """Leave columns out, if the document can and others remain."""
    columns = [name for name in names if name in view.removable_columns]
    if not columns or len(columns) >= view.column_count:
        return None
    return _set_columns(view, columns, {"role": "ignore"}, f"Leave out {quoted(columns, 2)}")


def add_missing_indicators(view: QualityView, names: Sequence[str]) -> Fix | None:
    """Add a missing indicator to each of these columns that is numeric."""
    columns = [name for name in names if name in view.removable_columns and name in view.numbers]
    columns = [name for name in columns if not view.column_settings(name).get("indicator")]
    return _set_columns(view, columns, {"indicator": True}, "Add missing indicators")


def scale_by_quantiles(view: QualityView, name: str) -> Fix | None:
    """Scale a column by the ranks of its values, so that none is far from the others."""
    columns = [name] if name in view.removable_columns else []
    return _set_columns(view, columns, {"scale": "quantile"}, "Scale by quantiles")


def read_as(view: QualityView, name: str, kind: str) -> Fix | None:
    """Read a text column as numbers or dates; cells that are not become missing."""
    return _set_columns(view, [name], {"kind": kind}, f"Read as {kind}s")


def limit_set_values(view: QualityView, name: str, count: int) -> Fix | None:
    """Encode only the most frequent values of a column of sets."""
    columns = [name] if name in view.removable_columns and count > 0 else []
    return _set_columns(view, columns, {"values": count}, f"Use the {count:,} most frequent values")


def treat_as_same(view: QualityView, name: str, aliases: Mapping[str, str]) -> Fix | None:
    """Replace labels by others with the same meaning, in addition to the aliases of the document."""
    previous = view.column_settings(name).get("aliases")
    merged = {**(previous if isinstance(previous, dict) else {}), **aliases}
    (label, replacement), more = next(iter(aliases.items())), len(aliases) - 1
    title = f"Treat {label[:30]!r} as {replacement[:30]!r}" + (f" and {more:,} more" if more else "")
    return _set_columns(view, [name], {"aliases": merged}, title)


def _set_columns(view: QualityView, names: Sequence[str], settings: dict[str, Any], title: str) -> Fix | None:
    """Change the same settings of several columns; their other settings stay."""
    if not names or view.choice is None:
        return None
    options = view.choice.options
    previous = options.get("columns")
    changed = {name: {**view.column_settings(name), **settings} for name in names}
    columns = {**(previous if isinstance(previous, dict) else {}), **changed}
    return Fix(title, {"kind": "project", "data": {"options": {**options, "columns": columns}}})


def drop_duplicates(view: QualityView) -> Fix | None:
    """Keep one of each group of equal rows."""
    if view.choice is None or view.choice.duplicates == "drop":
        return None
    return Fix("Keep one of each", {"kind": "project", "data": {"duplicates": "drop"}})


def balance_class_weights() -> Fix:
    """Let rare classes count as much as frequent ones."""
    return Fix("Balance the class weights", {"kind": "project", "training": {"class_weights": "balanced"}})


def split_by(view: QualityView, method: str, title: str) -> Fix | None:
    """Change how rows are split."""
    if view.choice is None or view.choice.split == method:
        return None
    return Fix(title, {"kind": "project", "data": {"split": method}})
