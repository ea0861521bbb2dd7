"""Conversion of questions, previews and datasets to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.core.plain_json import JsonObject
from netloom.data.schema import DatasetInfo
from netloom.data.uploads.upload_kind import Question

if TYPE_CHECKING:
    import pandas as pd

# Limits of the characters of a cell: an image as a data URI, and other text.
_LONGEST = 2**20
_SHOWN = 2_000


def as_json(question: Question) -> JsonObject:
    """Return a question as JSON."""
    return asdict(question)


def question(value: Mapping[str, Any]) -> Question:
    """Return the question from the result of `as_json`."""
    texts = {name: tuple(map(str, value[name])) for name in ("choices", "likely")}
    return Question(**{**value, **texts})


def info(value: Mapping[str, Any]) -> DatasetInfo:
    """Return the dataset from its JSON."""
    return DatasetInfo(**{**value, "columns": tuple(map(str, value["columns"]))})


def columns_as_json(table: pd.DataFrame) -> list[JsonObject]:
    """Return the columns of a preview, each as its name, its type and its cells."""
    return [{"name": str(name), **_column(values)} for name, values in table.items()]


def table_of(columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the preview from the result of `columns_as_json`."""
    import pandas as pd

    columns_by_name = {}
    for column in columns:
        values = list(column["values"])
        if column["kind"] == "datetime":
            columns_by_name[str(column["name"])] = pd.to_datetime(
                pd.Series(values, dtype="string"), utc=True, errors="coerce"
            )
        else:
            columns_by_name[str(column["name"])] = pd.Series(values, dtype=column["kind"])
    return pd.DataFrame(columns_by_name)


def _column(values: pd.Series) -> dict[str, Any]:
    import pandas as pd

    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(values):
        return {"kind": "datetime", "values": [None if pd.isna(cell) else cell.isoformat() for cell in values]}
    # From the narrowest type to the widest: booleans and integers are numeric, too. These types can all hold missing
    # values.
    for kind, holds in (
        ("boolean", kinds.is_bool_dtype),
        ("Int64", kinds.is_integer_dtype),
        ("Float64", kinds.is_numeric_dtype),
        ("string", kinds.is_string_dtype),
    ):
        if holds(values) and not (kind == "string" and values.dtype == object):
            return {"kind": kind, "values": [_cell(cell) for cell in values]}
    return {"kind": "object", "values": [_cell(cell) for cell in values]}


def _cell(value: Any) -> Any:
    """Return a cell as plain JSON, shortened. A list of numbers is the curve of a sound."""
    if isinstance(value, str):
        return value[: _LONGEST if value.startswith("data:image/") else _SHOWN]
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        plain = value.tolist() if hasattr(value, "tolist") else list(value)
        return _cell(plain) if not isinstance(plain, list) else [_cell(item) for item in plain[:10_000]]
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value if isinstance(value, (bool, int, float)) and abs(value) != float("inf") else str(value)[:_SHOWN]
