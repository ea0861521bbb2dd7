"""The columns of data as people see them: kind, role, what is missing, from where to where they go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.data_folder import home as default_home
from netloom.core.errors import DataError
from netloom.data.builtin_registry import builtin
from netloom.data.multi_field import Categories, Several
from netloom.data.preparation.column_settings import COLUMNS, ColumnChoice, Role, column_choices
from netloom.data.preparation.memmap_cache import remembered
from netloom.data.preparation.prepare import read
from netloom.data.raw_dataset import RawDataset, Table
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.column_inference import ColumnPlan, column_plans, look_like_classes, targets_of
from netloom.data.uploads import find_upload, options_of
from netloom.data.uploads.tabular import TABLE, kept_table
from netloom.document import DataChoice
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.conversion import numbers
from netloom.modalities.columns.number import Number
from netloom.modalities.columns.registry import column_kind, inferred_kind

if TYPE_CHECKING:
    import pandas as pd

_NOTHING = ColumnChoice()
COUNTED = 2_000_000  # in about how many rows at most, evenly spread, it is counted how many values differ
_SHOWN = 3  # how many of a column's values are shown where it has no range


@dataclass(frozen=True)
class Column:
    """One column. `kind` and `role` are those that hold, `choice` what the document says, which may be nothing.

    `distinct` is counted in two million rows at most.
    `values` are a few of its values, the commonest first; `remark` says why it is left out, where its looks decided.
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
    choice: ColumnChoice = _NOTHING
    settled: bool = False  # whether kind and role belong to the data; it can be ignored, all the same


def columns(choice: DataChoice, home: Path | None = None) -> list[Column]:
    """The columns of a table, or of the tables within data that comes with Netloom; none where there are none.

    Raises:
        DataError: what the document says of columns cannot be, or the data cannot be read.
    """
    home = home or default_home()
    if not choice.dataset:
        return []
    if choice.dataset in builtin():
        return _of_raw(choice, home)
    folder = find_upload(choice.dataset, home)
    options = table_options(folder, choice)
    if options is None:
        return []
    facts = _facts(str(folder))
    return _planned(_table(str(folder)), options, facts)


def table_options(folder: Path, choice: DataChoice) -> dict[str, Any] | None:
    """The options that hold for an upload that is a plain table; None where it is something else."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    reader = meta.get("reader") or ("table" if meta.get("kind") in ("table", "text") else "")
    if reader != "table" or not any((folder / name).exists() for name in (TABLE, ARROW_FILE)):
        return None
    return options_of(meta["options"], choice)


def _planned(table: pd.DataFrame, options: Mapping[str, Any], facts: Mapping[str, Column]) -> list[Column]:
    choices = column_choices(options.get(COLUMNS), list(facts))
    targets = targets_of(table, options, choices)
    found = column_plans(table[_known(table, targets)], options, choices, targets)
    return [
        replace(
            _read(table, facts[name], plan),
            kind=_kind(table, plan, options),
            role=plan.role,
            choice=plan.choice,
            remark=plan.reason,
        )
        for name, plan in found.items()
    ]


def _read(table: Any, facts: Column, plan: ColumnPlan) -> Column:
    """What is counted of a column; of texts that are read as numbers, what is counted of these."""
    chosen = plan.choice.kind
    if not chosen or not column_kind(chosen).is_number or facts.low or isinstance(table, StoredTable):
        return facts
    import pandas as pd

    try:
        found = numbers(table[plan.name], plan.name, [])
    except DataError:
        return facts  # whoever reads the data is told
    return facts if found is None else _counted(plan.name, pd.Series(found))


def _kind(table: pd.DataFrame, plan: ColumnPlan, options: Mapping[str, Any]) -> str:
    """A target of few whole numbers is classes, if nothing else is said."""
    if (
        plan.role != "target"
        or not plan.column_kind.is_number
        or plan.choice.kind
        or options.get("task") == "regression"
    ):
        return plan.kind
    classes = options.get("task") == "classification" or look_like_classes(
        table[plan.name].dropna().to_numpy(dtype=np.float64)
    )
    return Category.name if classes else plan.kind


def _known(table: pd.DataFrame, names: list[str]) -> Any:
    """Which rows lack none of these columns."""
    stored: Any = table
    return stored.complete_rows(names) if isinstance(stored, StoredTable) else table[names].notna().all(axis=1)


@lru_cache(maxsize=2)
def _table(path: str) -> pd.DataFrame:
    from pyarrow import ArrowException

    try:
        return kept_table(Path(path))
    except (OSError, ValueError, ArrowException):
        raise DataError("What was kept of this upload is damaged; remove it, and upload the file again.") from None


@lru_cache(maxsize=16)
def _facts(path: str) -> dict[str, Column]:
    """What can be counted, by column, whatever a document says. Of a table larger than memory it is counted once."""
    table: Any = _table(path)
    if not isinstance(table, StoredTable):
        return {str(name): _counted(str(name), values) for name, values in table.items()}
    found = remembered(
        Path(path), "columns", lambda: [_plain(_counted(name, values)) for name, values in table.items()]
    )
    return {one["name"]: Column(**{**one, "values": tuple(one["values"]), "choice": _NOTHING}) for one in found}


def _plain(found: Column) -> dict[str, Any]:
    return asdict(replace(found, choice=_NOTHING)) | {"choice": None}


def _counted(name: str, values: pd.Series) -> Column:
    import pandas as pd

    known = values.dropna()
    # How many differ costs the most by far, and is of interest where they are few.
    some = known.iloc[:: 1 + len(known) // COUNTED]
    found = Column(
        name, inferred_kind(values).name, "input", len(values), len(values) - len(known), int(some.nunique())
    )
    if not len(known):
        return found
    if pd.api.types.is_datetime64_any_dtype(known):
        return replace(found, low=str(known.min())[:10], high=str(known.max())[:10])
    if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
        return replace(found, low=f"{known.min():.6g}", high=f"{known.max():.6g}")
    return replace(found, values=tuple(str(value)[:40] for value in some.value_counts().index[:_SHOWN]))


def _of_raw(choice: DataChoice, home: Path) -> list[Column]:
    """The columns of data whose kinds and roles are settled."""
    options = {name: value for name, value in choice.options.items() if name != COLUMNS}
    raw = read(choice.model_copy(update={"options": options}), home)
    found = [column for part in _tables(raw) for column in _columns_of(part)]
    choices = column_choices(choice.options.get(COLUMNS), [*(column.name for column in found), raw.target_name])
    said = ((column, choices.get(column.name, _NOTHING)) for column in found)
    return [replace(column, choice=one, role=one.role or "input") for column, one in said]


def _tables(raw: RawDataset) -> list[Table | Categories]:
    parts = raw.parts if isinstance(raw, Several) else (raw,)
    return [part for part in parts if isinstance(part, (Table, Categories)) and type(part) in (Table, Categories)]


def _columns_of(part: Table | Categories) -> list[Column]:
    import pandas as pd

    found = []
    texts = part.categories if isinstance(part, Table) else part.columns
    for name, values in (part.numbers if isinstance(part, Table) else {}).items():
        known = values[~np.isnan(values)]
        low, high = (f"{known.min():.6g}", f"{known.max():.6g}") if len(known) else ("", "")
        missing, distinct = len(values) - len(known), len(np.unique(known))
        found.append(Column(name, Number.name, "input", len(values), missing, distinct, low, high, settled=True))
    for name, names in texts.items():
        column = _counted(name, pd.Series([value or None for value in names], dtype="string"))
        found.append(replace(column, kind=Category.name, settled=True))
    return found
