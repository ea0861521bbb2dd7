"""The columns of data for the data page: kind, role, missing values and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.data_folder import home as default_home
from netloom.core.delegation import Delegable
from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.builtin_registry import builtin
from netloom.data.caching.memmap_cache import remembered
from netloom.data.multi_field import Categories
from netloom.data.preparation.prepare import read
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.column_settings import COLUMNS, ColumnChoice, Role, column_choices
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.column_inference import ColumnPlan, column_plans, look_like_classes, targets_of
from netloom.data.tables.targets import requested_target
from netloom.data.uploads import find_upload, options_of
from netloom.data.uploads.tabular import TABLE, stored_table
from netloom.data.uploads.upload_kind import reader_of
from netloom.data.uploads.upload_meta import read_meta
from netloom.document import DataChoice
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.conversion import numbers
from netloom.modalities.columns.number import Number
from netloom.modalities.columns.registry import column_kind, inferred_kind

if TYPE_CHECKING:
    import pandas as pd

_NO_CHOICE = ColumnChoice()
MAX_COUNTED_ROWS = 2_000_000  # evenly spaced rows in which distinct values are counted
_MAX_EXAMPLES = 3  # values of a column without a range


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        kind: The kind in effect, chosen or inferred; likewise `role`.
        distinct: The number of distinct values in at most `MAX_COUNTED_ROWS` rows.
        low: The smallest number or date, as text; "" for other kinds. Likewise `high`.
        values: The most frequent values, for kinds without a range.
        remark: Why inference ignores the column.
        choice: The settings of the document.
        settled: Whether the data fixes kind and role, so that a document can only ignore the column.
    """

    name: str
    kind: str
    role: Role
    rows: int = 0
    missing: int = 0
    distinct: int = 0
    low: str = ""
    high: str = ""
    values: tuple[str, ...] = ()
    remark: str = ""
    choice: ColumnChoice = _NO_CHOICE
    settled: bool = False


@Delegable
def columns(choice: DataChoice, home: Path | None = None) -> list[Column]:
    """Return the columns of an uploaded table, or of the tables in a built-in dataset; [] for other data. A web server
    delegates this to a worker.

    Raises:
        DataError: The settings of a column are invalid, or the data cannot be read.
    """
    home = home or default_home()
    if not choice.dataset:
        return []
    if choice.dataset in builtin():
        return _builtin_columns(choice, home)
    folder = find_upload(choice.dataset, home)
    options = table_options(folder, choice)
    if options is None:
        return []
    facts = _facts(str(folder))
    return _table_columns(_table(str(folder)), options, facts)


def table_options(folder: Path, choice: DataChoice) -> JsonObject | None:
    """Return the options in effect for an upload that is a plain table; None if it is something else."""
    try:
        meta = read_meta(folder)
        reader = reader_of(meta)
    except (OSError, ValueError, KeyError):
        return None
    if not reader.sets_columns or not any((folder / name).exists() for name in (TABLE, ARROW_FILE)):
        return None
    return options_of(meta["options"], choice)


def _table_columns(table: pd.DataFrame, options: Mapping[str, Any], facts: Mapping[str, Column]) -> list[Column]:
    choices = column_choices(options.get(COLUMNS), list(facts))
    targets = targets_of(table, options, choices)
    plans = column_plans(table[_complete_rows(table, targets)], options, choices, targets)
    return [
        replace(
            _column_facts(table, facts[name], plan),
            kind=_kind(table, plan, options),
            role=plan.role,
            choice=plan.choice,
            remark=plan.reason,
        )
        for name, plan in plans.items()
    ]


def _column_facts(table: Any, facts: Column, plan: ColumnPlan) -> Column:
    """Return the facts of a column; those of the numbers if the document reads a text column as numbers."""
    chosen = plan.choice.kind
    if not chosen or not column_kind(chosen).is_number or facts.low or isinstance(table, StoredTable):
        return facts
    import pandas as pd

    try:
        parsed = numbers(table[plan.name], plan.name, [])
    except DataError:
        return facts  # the error is reported when the data is prepared
    return facts if parsed is None else _counted(plan.name, pd.Series(parsed))


def _kind(table: pd.DataFrame, plan: ColumnPlan, options: Mapping[str, Any]) -> str:
    """Return the kind of a column; a target of a few whole numbers is classes unless the document says otherwise."""
    target_type = requested_target(options)
    if (
        plan.role != "target"
        or not plan.column_kind.is_number
        or plan.choice.kind
        or (target_type is not None and target_type.is_number)
    ):
        return plan.kind
    classes = (target_type is not None and target_type.is_class) or look_like_classes(
        table[plan.name].dropna().to_numpy(dtype=np.float64)
    )
    return Category.name if classes else plan.kind


def _complete_rows(table: pd.DataFrame, names: list[str]) -> Any:
    """Return the rows that have a value in each of these columns, as a mask (R,)."""
    stored: Any = table
    return stored.complete_rows(names) if isinstance(stored, StoredTable) else table[names].notna().all(axis=1)


# An upload does not change after it was added, so its path identifies the content
@lru_cache(maxsize=2)
def _table(path: str) -> pd.DataFrame:
    from pyarrow import ArrowException

    try:
        return stored_table(Path(path))
    except (OSError, ValueError, ArrowException):
        raise DataError("The stored copy of this upload is damaged; remove it, and upload the file again.") from None


@lru_cache(maxsize=16)
def _facts(path: str) -> dict[str, Column]:
    """Return the facts of each column, which do not depend on a document; stored for tables larger than memory."""
    table: Any = _table(path)
    if not isinstance(table, StoredTable):
        return {str(name): _counted(str(name), values) for name, values in table.items()}
    stored = remembered(
        Path(path), "columns", lambda: [_as_json(_counted(name, values)) for name, values in table.items()]
    )
    return {
        facts["name"]: Column(**{**facts, "values": tuple(facts["values"]), "choice": _NO_CHOICE}) for facts in stored
    }


def _as_json(column: Column) -> dict[str, Any]:
    return asdict(replace(column, choice=_NO_CHOICE)) | {"choice": None}


def _counted(name: str, values: pd.Series) -> Column:
    import pandas as pd

    present = values.dropna()
    # Counting distinct values is by far the slowest, and only small counts are of interest.
    sampled = present.iloc[:: 1 + len(present) // MAX_COUNTED_ROWS]
    column = Column(
        name, inferred_kind(values).name, "input", len(values), len(values) - len(present), int(sampled.nunique())
    )
    if not len(present):
        return column
    if pd.api.types.is_datetime64_any_dtype(present):
        return replace(column, low=str(present.min())[:10], high=str(present.max())[:10])
    if pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present):
        return replace(column, low=f"{present.min():.6g}", high=f"{present.max():.6g}")
    return replace(column, values=tuple(str(value)[:40] for value in sampled.value_counts().index[:_MAX_EXAMPLES]))


def _builtin_columns(choice: DataChoice, home: Path) -> list[Column]:
    """Return the columns of a built-in dataset."""
    options = {name: value for name, value in choice.options.items() if name != COLUMNS}
    raw = read(choice.model_copy(update={"options": options}), home)
    table_columns = [column for part in _tables(raw) for column in _columns_of(part)]
    choices = column_choices(choice.options.get(COLUMNS), [*(column.name for column in table_columns), raw.target_name])
    choice_of = ((column, choices.get(column.name, _NO_CHOICE)) for column in table_columns)
    return [replace(column, choice=settings, role=settings.role or "input") for column, settings in choice_of]


def _tables(raw: RawDataset) -> list[Table | Categories]:
    return [part for part in raw.parts if isinstance(part, (Table, Categories)) and type(part) in (Table, Categories)]


def _columns_of(part: Table | Categories) -> list[Column]:
    import pandas as pd

    table_columns = []
    texts = part.categories if isinstance(part, Table) else part.columns
    for name, values in (part.numbers if isinstance(part, Table) else {}).items():
        present = values[~np.isnan(values)]
        low, high = (f"{present.min():.6g}", f"{present.max():.6g}") if len(present) else ("", "")
        missing, distinct = len(values) - len(present), len(np.unique(present))
        table_columns.append(
            Column(name, Number.name, "input", len(values), missing, distinct, low, high, settled=True)
        )
    for name, names in texts.items():
        column = _counted(name, pd.Series([value or None for value in names], dtype="string"))
        table_columns.append(replace(column, kind=Category.name, settled=True))
    return table_columns
