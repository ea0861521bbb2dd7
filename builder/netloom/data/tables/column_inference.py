"""The kind and role of each column of a table: chosen in the document, or else inferred from names and values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.settings.column_settings import (
    COLUMNS,
    ColumnChoice,
    Role,
    column_choices,
)
from netloom.data.tables.arrow_table import StoredTable
from netloom.modalities.columns.column_kind import ColumnKind
from netloom.modalities.columns.conversion import first_other_cell
from netloom.modalities.columns.registry import column_kind, inferred_kind
from netloom.modalities.columns.text import FEW_VALUES, Text, is_names, is_prose, is_text

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = 1_000
_NO_CHOICE = ColumnChoice()
_ID = re.compile(r"(?i:unnamed: 0(\.\d+)?|index|id|uuid|row|.+[_ -]id)|.*[a-z]Id|.*[a-z]ID")


@dataclass(frozen=True)
class ColumnPlan:
    """The kind and role of one column. `reason` is a sentence that says why the column is ignored, if inference did."""

    name: str
    kind: str
    role: Role
    choice: ColumnChoice = _NO_CHOICE
    reason: str = ""

    @property
    def column_kind(self) -> ColumnKind:
        """The declaration of the kind."""
        return column_kind(self.kind)


def choices_of(table: pd.DataFrame, options: Mapping[str, Any]) -> dict[str, ColumnChoice]:
    """Return the settings of the document for the columns.

    Raises:
        DataError: A setting is malformed or names an unknown column.
    """
    return column_choices(options.get(COLUMNS), [str(name) for name in table.columns])


def targets_of(table: pd.DataFrame, options: Mapping[str, Any], choices: Mapping[str, ColumnChoice]) -> list[str]:
    """Return the target columns: those with the role, or the column of the option `target`.

    Raises:
        DataError: There is no target.
    """
    chosen = str(options.get("target", ""))
    roles = {name: choices[name].role for name in choices}
    target_names = [
        str(name) for name in table.columns if (roles.get(name) or ("target" if name == chosen else "")) == "target"
    ]
    if not target_names and chosen in table.columns:
        raise DataError("No column has the role target, so there is nothing to predict; give one of them that role.")
    if not target_names:
        names = ", ".join(repr(str(column)[:40]) for column in table.columns[:20])
        raise DataError(f"There is no column {chosen[:80]!r} to predict; the table has {names}.")
    return target_names


def column_plans(
    table: pd.DataFrame,
    options: Mapping[str, Any],
    choices: Mapping[str, ColumnChoice],
    targets: list[str],
    whole: pd.DataFrame | None = None,
) -> dict[str, ColumnPlan]:
    """Return the kind and role of each column, by name. A column with any setting is an input unless its role is set.

    Args:
        table: The rows with a target.
        whole: All rows; None if these are all. A cell in any of them, such as a total, can make a column text.

    Raises:
        DataError: A setting does not fit its column.
    """
    roles: dict[str, Role] = {name: choice.role or "input" for name, choice in choices.items() if choice.plain()}
    candidates = table[
        [name for name in table.columns if name not in targets and roles.get(str(name), "input") == "input"]
    ]
    left_out = _ignored_columns(candidates, options, roles, table if whole is None else whole)
    column_plans: dict[str, ColumnPlan] = {}
    for column in table.columns:
        name = str(column)
        choice = choices.get(name, _NO_CHOICE)
        kind = choice.kind or (
            Text.name if name == left_out.text else inferred_kind(inference_values(table, column)).name
        )
        # Aliases merge the labels of a target whatever kind it has; no other kind of setting is shared by all kinds.
        column_kind(kind).refuse(name, (choice.without("aliases") if name in targets else choice).settings)
        if name in targets:
            column_plans[name] = ColumnPlan(name, kind, "target", choice)
        elif name in left_out.reasons:
            column_plans[name] = ColumnPlan(name, kind, "ignore", choice, left_out.reasons[name])
        else:
            column_plans[name] = ColumnPlan(name, kind, roles.get(name, "input"), choice)
    return column_plans


def look_like_classes(numbers: np.ndarray) -> bool:
    """Return whether numbers look like class indices: few distinct values, all of them whole."""
    distinct = np.unique(numbers)
    # At least five rows per value on average
    return len(distinct) <= min(FEW_VALUES, max(2, len(numbers) // 5)) and bool((distinct == distinct.round()).all())


def too_many_classes(count: int, rows: int) -> bool:
    """Return whether a column of this many different values in this many rows cannot be predicted as classes."""
    return count > min(MAX_CLASSES, max(2, rows // 2))


def prose_columns(candidates: pd.DataFrame) -> list[str]:
    """Return the columns, among the possible inputs, that hold prose but would not be inferred as inputs.

    If all inputs are texts, such as titles and bodies of articles, these are all of them.
    """
    ignored = _ignored_columns(candidates, {}, {}, candidates)
    names = [str(name) for name in candidates.columns]
    if ignored.text is None:
        return [name for name in names if name in ignored.reasons and is_prose(inference_values(candidates, name))]
    texts = [name for name in names if is_text(inference_values(candidates, name))]
    return texts if len(texts) > 1 else []


def inference_values(table: Any, name: Any) -> pd.Series:
    """Return the values from which the kind is inferred; a stored column whose dtype suffices is not read."""
    values: pd.Series = table.for_inference(name) if isinstance(table, StoredTable) else table[name]
    return values


def _has_stored_values(table: Any, name: Any) -> bool:
    """Return whether a stored column has any value; `inference_values` has no rows of columns other than texts."""
    return bool(table.has_values(name)) if isinstance(table, StoredTable) else False


@dataclass(frozen=True)
class _IgnoredColumns:
    """The columns that inference ignores, each with its reason, and the text column that is the only input, if any."""

    reasons: dict[str, str]
    text: str | None


def _ignored_columns(
    candidates: pd.DataFrame, options: Mapping[str, Any], roles: Mapping[str, Role], whole: pd.DataFrame
) -> _IgnoredColumns:
    """Return the columns, among the possible inputs, that inference ignores."""
    reasons = {name: reason for name, reason in _row_ids(candidates).items() if name not in roles}
    remaining = candidates[[name for name in candidates.columns if str(name) not in reasons]]
    text = _only_text(remaining, options)
    if text is not None:
        is_chosen = "text" in options
        for column in remaining.columns:
            name = str(column)
            if name != text and name not in roles:
                reasons[name] = "" if is_chosen else f"The texts in {name!r} were left out; one column of text is read."
        return _IgnoredColumns(reasons, text)
    for label in remaining.columns:
        name, values = str(label), inference_values(remaining, label)
        if not (values.notna().any() if len(values) else _has_stored_values(remaining, label)):
            reasons[name] = f"The column {name!r} is empty and was left out."
        elif name not in roles and is_names(values):
            because = first_other_cell(inference_values(whole, label))
            reasons[name] = f"The column {name!r} has {values.nunique():,} different texts and was left out{because}."
    return _IgnoredColumns(reasons, None)


def _row_ids(candidates: pd.DataFrame) -> dict[str, str]:
    """Return the columns that only identify rows, with reasons; none if all columns are like that."""
    import pandas as pd

    ids = [
        str(name)
        for name in candidates.columns
        if _ID.fullmatch(str(name).strip())
        and candidates[name].is_unique
        and (pd.api.types.is_integer_dtype(candidates[name]) or pd.api.types.is_string_dtype(candidates[name]))
    ]
    if len(ids) == candidates.shape[1]:
        return {}
    return {name: f"The column {name!r} identifies the rows and was left out." for name in ids}


def _only_text(remaining: pd.DataFrame, options: Mapping[str, Any]) -> str | None:
    """Return the text column that is the only input: the option `text`, or the first column if all are texts."""
    if "text" in options:
        text = options["text"]
        if text is not None and (not isinstance(text, str) or text not in remaining.columns):
            raise DataError(f"There is no column {str(text)[:80]!r} to read text from.")
        return text
    texts = [str(name) for name in remaining.columns if is_text(inference_values(remaining, name))]
    return texts[0] if texts and len(texts) == remaining.shape[1] else None
