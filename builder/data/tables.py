"""Tables that people bring: read, understood column by column, and turned into numbers, categories or texts."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data.limits import MAX_COLUMNS, MAX_ROWS
from builder.data.raw import CATEGORY_LIMIT, Raw, Table, Texts
from builder.data.schema import DataError

if TYPE_CHECKING:
    import pandas as pd

TARGET_NAMES = ("target", "label", "class", "y", "category", "intent", "sentiment")
MAX_CLASSES = 1_000
FEW_VALUES = 20
TASKS = ("classification", "regression")


def read_table(data: bytes, suffix: str, filename: str) -> pd.DataFrame:
    """A table from the bytes of a CSV or Parquet file.

    Raises:
        DataError: it cannot be read, or has no rows.
    """
    table = _parquet(data, filename) if suffix in (".parquet", ".pq") else _csv(data, filename)
    if table.shape[1] < 2:
        raise DataError(
            f"{filename[:100]!r} has one column; a table needs a column to predict and others to learn from."
        )
    if not len(table):
        raise DataError(f"{filename[:100]!r} has column names but no rows.")
    if len(table) > MAX_ROWS or table.shape[1] > MAX_COLUMNS:
        raise DataError(
            f"{filename[:100]!r} has {len(table):,} rows and {table.shape[1]:,} columns; "
            f"at most {MAX_ROWS:,} and {MAX_COLUMNS:,} can be read."
        )
    table.columns = _names(table.columns)
    return table


def default_target(table: pd.DataFrame) -> str:
    """The column that looks like what is to be predicted: by its name, or else the last."""
    named = [column for column in table.columns if str(column).strip().lower() in TARGET_NAMES]
    return str(named[0] if named else table.columns[-1])


def table_to_raw(table: pd.DataFrame, options: dict[str, Any], title: str) -> Raw:
    """The rows that can be used, with a target of classes or numbers.

    Raises:
        DataError: an option is wrong, or there is nothing to learn from.
    """
    unknown = set(options) - {"target", "task", "text"}
    if unknown:
        raise DataError(f"{title[:60]!r} has no option {sorted(unknown)[0][:60]!r}; it takes target, task and text.")
    target, warnings = str(options.get("target", "")), list[str]()
    if target not in table.columns:
        names = ", ".join(map(repr, list(table.columns)[:20]))
        raise DataError(f"There is no column {target[:80]!r} to predict; the table has {names}.")
    known = table[table[target].notna()]
    if len(known) < len(table):
        warnings.append(f"{len(table) - len(known):,} rows without a value in {target!r} were left out.")
    if not len(known):
        raise DataError(f"The column {target!r} is empty, so there is nothing to predict.")
    common = _target(known[target], target, options.get("task"), title)
    features = known.drop(columns=target)
    texts = [name for name in features.columns if _is_text(features[name])]
    text = options.get("text", texts[0] if texts and len(texts) == features.shape[1] else None)
    if text is not None:
        if text not in features.columns:
            raise DataError(f"There is no column {str(text)[:80]!r} to read text from.")
        return Texts(name="text", texts=features[text].fillna("").astype(str).tolist(), warnings=warnings, **common)
    numbers, categories = _columns(features, warnings)
    if not numbers and not categories:
        raise DataError(f"No column but {target!r} can be learned from; numbers, categories or one text are needed.")
    return Table(name="features", numbers=numbers, categories=categories, warnings=warnings, **common)


def _target(values: pd.Series, name: str, task: Any, title: str) -> dict[str, Any]:
    import pandas as pd

    if task is not None and task not in TASKS:
        raise DataError(f"The option task is {' or '.join(TASKS)}, received {str(task)[:40]!r}.")
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    few = (
        values.nunique() <= min(FEW_VALUES, max(2, len(values) // 5)) and bool((values == values.round()).all())
        if numeric
        else False
    )
    if task == "regression" and not numeric:
        raise DataError(f"{name!r} holds no numbers, so it cannot be predicted by regression; choose classification.")
    if task == "regression" or (task is None and numeric and not few):
        numbers = values.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DataError(f"The column {name!r} holds infinite numbers; remove those rows.")
        if numbers.min() == numbers.max():
            raise DataError(f"The column {name!r} has the same value in every row, so there is nothing to predict.")
        return {"target": numbers[:, None], "target_kind": "number", "target_name": name}
    labels = [_label(value) for value in values]
    classes = sorted(
        set(labels), key=lambda label: (not label.lstrip("-").isdigit(), len(label) if label.isdigit() else 0, label)
    )
    if len(classes) < 2:
        raise DataError(
            f"The column {name!r} has one value only, {classes[0][:60]!r}; at least two classes are needed."
        )
    if len(classes) > min(MAX_CLASSES, max(2, len(labels) // 2)):
        raise DataError(
            f"The column {name!r} has {len(classes):,} different values in {len(labels):,} rows, too many for classes; "
            "choose another target, or regression."
        )
    places = {label: place for place, label in enumerate(classes)}
    numbers = np.array([places[label] for label in labels], dtype=np.int64)
    return {"target": numbers, "target_kind": "class", "target_name": name, "classes": tuple(classes)}


def _columns(features: pd.DataFrame, warnings: list[str]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Numbers and categories; what can be neither is left out with a warning."""
    import pandas as pd

    numbers: dict[str, np.ndarray] = {}
    categories: dict[str, list[str]] = {}
    for name in features.columns:
        values = features[name]
        if not values.notna().any():
            warnings.append(f"The column {name!r} is empty and was left out.")
        elif pd.api.types.is_datetime64_any_dtype(values):
            numbers[f"{name} (days)"] = (
                values - pd.Timestamp(0, tz=values.dt.tz)
            ).dt.total_seconds().to_numpy() / 86_400
            numbers[f"{name} (weekday)"] = values.dt.weekday.to_numpy(dtype=np.float64)
        elif pd.api.types.is_numeric_dtype(values):
            column = values.to_numpy(dtype=np.float64, na_value=np.nan)
            if np.isinf(column).any():
                warnings.append(f"Infinite numbers in {name!r} are taken as missing.")
                column = np.where(np.isinf(column), np.nan, column)
            numbers[name] = column
        elif values.nunique() <= max(CATEGORY_LIMIT, 2) or values.nunique() <= len(values) // 20:
            categories[name] = ["" if pd.isna(value) else str(value) for value in values]
        else:
            warnings.append(f"The column {name!r} has {values.nunique():,} different texts and was left out.")
    return numbers, categories


def _is_text(values: pd.Series) -> bool:
    """Whether a column holds sentences rather than names of categories."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return False
    known = values.dropna().astype(str).head(1_000)
    if known.empty:
        return False
    return float(np.mean([len(text.split()) for text in known])) >= 2.5 and known.nunique() > len(known) * 0.3


def _label(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)[:200]


def _parquet(data: bytes, filename: str) -> pd.DataFrame:
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(io.BytesIO(data))
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{filename[:100]!r} is no Parquet file that can be read: {str(error)[:100]}.") from None


def _csv(data: bytes, filename: str) -> pd.DataFrame:
    import pandas as pd

    text = _decode(data, filename)
    if not text.strip():
        raise DataError(f"{filename[:100]!r} is empty.")
    if "\x00" in text:
        raise DataError(f"{filename[:100]!r} holds NUL characters, so it is no CSV text.")
    try:
        table = pd.read_csv(io.StringIO(text), sep=_separator(text), skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError) as error:
        raise DataError(f"{filename[:100]!r} cannot be read as CSV: {str(error).strip()[:150]}.") from None
    if isinstance(table.index, pd.MultiIndex) or not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{filename[:100]!r} has rows with more fields than there are column names.")
    return _dates(table)


def _decode(data: bytes, filename: str) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{filename[:100]!r} is not UTF-8 text (byte {error.start:,} is {data[error.start]:#04x}); "
            "save it as CSV UTF-8 and upload it again."
        ) from None


def _separator(text: str) -> str:
    first = text.lstrip().splitlines()[0]
    return max(",;\t|", key=first.count)


def _dates(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of text that are dates in ISO form, as dates."""
    import pandas as pd

    for name in table.columns:
        values = table[name]
        if not pd.api.types.is_string_dtype(values) or not values.notna().any():
            continue
        if (
            values.dropna()
            .astype(str)
            .head(100)
            .str.fullmatch(r"\d{4}-\d{2}-\d{2}([ T][\d:.]+(Z|[+-]\d\d:?\d\d)?)?")
            .all()
        ):
            dates = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
            if dates.notna().sum() == values.notna().sum():
                table[name] = dates
    return table


def _names(columns: Any) -> list[str]:
    """Column names as text, each once."""
    names: list[str] = []
    for position, column in enumerate(columns, 1):
        name = str(column).strip()[:200] or f"column {position}"
        while name in names:
            name = f"{name} (2)"
        names.append(name)
    return names
