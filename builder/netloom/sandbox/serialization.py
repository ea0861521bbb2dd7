"""Questions, previews and datasets as JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netloom.data.schema import DatasetInfo
from netloom.data.uploads.upload_kind import Question

if TYPE_CHECKING:
    import pandas as pd

_LONGEST = 2**20  # characters of a cell, which may be a picture
_SHOWN = 2_000  # of a cell that is text


def as_json(question: Question) -> dict[str, Any]:
    """A question as JSON."""
    return asdict(question)


def question(value: Mapping[str, Any]) -> Question:
    """The question of a JSON."""
    return Question(**{**value, "choices": tuple(map(str, value["choices"]))})


def info(value: Mapping[str, Any]) -> DatasetInfo:
    """The dataset of a JSON."""
    return DatasetInfo(**{**value, "columns": tuple(map(str, value["columns"]))})


def columns_as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The columns of a preview: their names, what they hold, and their cells."""
    return [{"name": str(name), **_column(values)} for name, values in table.items()]


def table_of(columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The preview whose columns these are."""
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
    """A cell as plain JSON: a list of numbers is the curve of a sound, a long text mostly a picture."""
    if isinstance(value, str):
        return value[: _LONGEST if value.startswith("data:image/") else _SHOWN]
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        plain = value.tolist() if hasattr(value, "tolist") else list(value)
        return _cell(plain) if not isinstance(plain, list) else [_cell(item) for item in plain[:10_000]]
    if value is None or value != value or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value if isinstance(value, (bool, int, float)) and abs(value) != float("inf") else str(value)[:_SHOWN]
