"""What each column of a table is taken for: its kind and role, as a document says or else as the column looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.preparation.column_settings import (
    COLUMNS,
    ColumnChoice,
    Role,
    column_choices,
)
from netloom.data.splits.given_splits import split_column
from netloom.data.tables.arrow_table import StoredTable
from netloom.modalities.columns.column_kind import ColumnKind
from netloom.modalities.columns.conversion import odd_one
from netloom.modalities.columns.registry import column_kind, inferred_kind
from netloom.modalities.columns.text import FEW_VALUES, Text, is_names, is_text

if TYPE_CHECKING:
    import pandas as pd

TARGET_NAMES = ("target", "label", "class", "y", "category", "intent", "sentiment")
_NOTHING_SAID = ColumnChoice()
_ID = re.compile(r"(?i:unnamed: 0(\.\d+)?|index|id|uuid|row|.+[_ -]id)|.*[a-z]Id|.*[a-z]ID")


@dataclass(frozen=True)
class Plan:
    """What one column is taken for. `reason` is a sentence where it is left out because of how it looks."""

    name: str
    kind: str
    role: Role
    choice: ColumnChoice = _NOTHING_SAID
    reason: str = ""

    @property
    def column_kind(self) -> ColumnKind:
        """What holds for columns of this kind."""
        return column_kind(self.kind)


def default_target(table: pd.DataFrame) -> str:
    """The column that looks like what is to be predicted: by its name, or else the last that is no free text, no date
    and no given split."""
    names = {str(column).strip().lower() for column in table.columns}
    known = {*TARGET_NAMES} - ({"y"} if {"x", "z"} <= names else set())  # of lengths in space none is the answer
    named = [column for column in table.columns if str(column).strip().lower() in known]
    split = split_column(table)
    plain = [
        column for column in table.columns if str(column) != split and inferred_kind(_seen(table, column)).can_be_target
    ]
    return str((named or plain[-1:] or [table.columns[-1]])[0])


def choices_of(table: pd.DataFrame, options: Mapping[str, Any]) -> dict[str, ColumnChoice]:
    """What a document says of the columns.

    Raises:
        DataError: it is nothing that can be said.
    """
    return column_choices(options.get(COLUMNS), [str(name) for name in table.columns])


def targets_of(table: pd.DataFrame, options: Mapping[str, Any], choices: Mapping[str, ColumnChoice]) -> list[str]:
    """The columns that are to be predicted.

    Raises:
        DataError: there are none.
    """
    chosen = str(options.get("target", ""))
    named = {name: choices[name].role for name in choices}
    found = [
        str(name) for name in table.columns if (named.get(name) or ("target" if name == chosen else "")) == "target"
    ]
    if not found and chosen in table.columns:
        raise DataError("No column has the role target, so there is nothing to predict; give one of them that role.")
    if not found:
        names = ", ".join(repr(str(column)[:40]) for column in table.columns[:20])
        raise DataError(f"There is no column {chosen[:80]!r} to predict; the table has {names}.")
    return found


def plans(
    table: pd.DataFrame, options: Mapping[str, Any], choices: Mapping[str, ColumnChoice], targets: list[str]
) -> dict[str, Plan]:
    """What each column is taken for, by name. A column of which a document says anything is learned from, if it says
    nothing else of its role.

    Raises:
        DataError: a setting does not fit its column.
    """
    roles: dict[str, Role] = {name: choice.role or "input" for name, choice in choices.items() if choice.plain()}
    free = table[[name for name in table.columns if name not in targets and roles.get(str(name), "input") == "input"]]
    left_out = _left_out(free, options, roles)
    found: dict[str, Plan] = {}
    for column in table.columns:
        name = str(column)
        choice = choices.get(name, _NOTHING_SAID)
        kind = choice.kind or (Text.name if name == left_out.text else inferred_kind(_seen(table, column)).name)
        # Whatever a target is read as, its labels may be the same.
        column_kind(kind).refuse(name, (choice.without("aliases") if name in targets else choice).settings)
        if name in targets:
            found[name] = Plan(name, kind, "target", choice)
        elif name in left_out.reasons:
            found[name] = Plan(name, kind, "ignore", choice, left_out.reasons[name])
        else:
            found[name] = Plan(name, kind, roles.get(name, "input"), choice)
    return found


def few(numbers: np.ndarray) -> bool:
    """Whether numbers look like the numbers of classes: few of them, and whole."""
    distinct = np.unique(numbers)
    return len(distinct) <= min(FEW_VALUES, max(2, len(numbers) // 5)) and bool((distinct == distinct.round()).all())


def _seen(table: Any, name: Any) -> pd.Series:
    """What says of which kind a column is. Of a table in a file, a column whose type says it all is not read."""
    seen: pd.Series = table.typed(name) if isinstance(table, StoredTable) else table[name]
    return seen


def _known(table: Any, name: Any) -> bool:
    """Whether a column holds anything."""
    return bool(table.holds(name)) if isinstance(table, StoredTable) else False


@dataclass(frozen=True)
class _LeftOut:
    """The columns that are not learned from, each with the reason, and the text that is read in place of all others."""

    reasons: dict[str, str]
    text: str | None


def _left_out(free: pd.DataFrame, options: Mapping[str, Any], roles: Mapping[str, Role]) -> _LeftOut:
    """Of the columns that may be learned from, those that are not, because of how they look."""
    reasons = {name: reason for name, reason in _ids(free).items() if name not in roles}
    rest = free[[name for name in free.columns if str(name) not in reasons]]
    text = _text(rest, options)
    if text is not None:
        spoken = "text" in options
        for column in rest.columns:
            name = str(column)
            if name != text and name not in roles:
                reasons[name] = "" if spoken else f"The texts in {name!r} were left out; one column of text is read."
        return _LeftOut(reasons, text)
    for label in rest.columns:
        name, values = str(label), _seen(rest, label)
        if not (values.notna().any() if len(values) else _known(rest, label)):
            reasons[name] = f"The column {name!r} is empty and was left out."
        elif name not in roles and is_names(values):
            reasons[name] = (
                f"The column {name!r} has {values.nunique():,} different texts and was left out{odd_one(values)}."
            )
    return _LeftOut(reasons, None)


def _ids(free: pd.DataFrame) -> dict[str, str]:
    """The columns that merely number the rows."""
    import pandas as pd

    ids = [
        str(name)
        for name in free.columns
        if _ID.fullmatch(str(name).strip())
        and free[name].is_unique
        and (pd.api.types.is_integer_dtype(free[name]) or pd.api.types.is_string_dtype(free[name]))
    ]
    if len(ids) == free.shape[1]:
        return {}
    return {name: f"The column {name!r} only names the rows, each differently, and was left out." for name in ids}


def _text(rest: pd.DataFrame, options: Mapping[str, Any]) -> str | None:
    """The text to learn from, where one is asked for, or where there are texts alone."""
    if "text" in options:
        text = options["text"]
        if text is not None and (not isinstance(text, str) or text not in rest.columns):
            raise DataError(f"There is no column {str(text)[:80]!r} to read text from.")
        return text
    found = [str(name) for name in rest.columns if is_text(_seen(rest, name))]
    return found[0] if found and len(found) == rest.shape[1] else None
