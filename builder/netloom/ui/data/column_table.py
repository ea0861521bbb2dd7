"""The table of columns: their kinds, roles and preprocessing, which a project can edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.core.text import escape
from netloom.data.quality.column_changes import with_changed_columns
from netloom.data.quality.overview import Column
from netloom.data.settings.column_settings import Role
from netloom.editing.live import Live
from netloom.modalities.columns.column_kind import ColumnKind
from netloom.modalities.columns.registry import column_kind, column_kinds
from netloom.modalities.fields.series import scale_of
from netloom.ui.components.forms import refused
from netloom.ui.components.page_state import value_of
from netloom.ui.components.state import FormState, Refusal
from netloom.ui.data.state import DataState, Key
from netloom.ui.data.target_picker import reading_edit

_ROLES = get_args(Role)
_FILLED = {"Median": "median", "Mean": "mean", "Most frequent": "most_frequent", "Constant": "constant"}


def column_table(live: Live | None, columns: list[Column]) -> None:
    """Draw a table of all columns, or with a project an editor of them."""
    scale = scale_of(live.project.data.prepare if live else "standardize")
    rows = [table_row(column, scale) for column in columns]
    if live is None:
        st.dataframe(rows, hide_index=True, width="stretch", height=_height(columns), placeholder="")
        return
    # A new key after each edit, as the data editor keeps its changes and would apply them again
    key = Key.COLUMNS.of(live.id, live.generation, DataState.current().column_tables)

    def commit() -> None:
        edited: dict[Any, dict[str, Any]] = (value_of(key) or {}).get("edited_rows", {})
        changes = {columns[int(row_index)].name: change for row_index, change in edited.items() if change}
        if changes:
            _apply(live, changed_options(live, columns, changes))

    choice, text = st.column_config.SelectboxColumn, st.column_config.TextColumn
    kinds = list(column_kinds().values())
    st.data_editor(
        rows,
        key=key,
        on_change=commit,
        hide_index=True,
        width="stretch",
        height=_height(columns),
        num_rows="fixed",
        placeholder="",
        disabled=["Column", "Missing", "Distinct", "Values"],
        column_config={
            "Column": text(pinned=True, width=120),
            "Kind": choice(options=list(column_kinds()), required=True, width="small", help="Type of the values"),
            "Role": choice(
                options=list(_ROLES),
                required=True,
                width="small",
                help="Input: a feature. Target: to predict. Group: rows with the same value stay in one split. "
                "Weight: sample weight in the loss; metrics are unweighted. "
                "Time: orders the rows. Split: train, validation or test.",
            ),
            "Missing": st.column_config.NumberColumn(width="small", help="Rows without a value"),
            "Values": text(help="Range, or the most frequent values"),
            "Preprocessing": choice(
                options=list(dict.fromkeys(label for kind in kinds for label in kind.preprocessing.labels)),
                help="Scaling of numbers, encoding of categories and texts",
            ),
            "Imputation": choice(options=_imputations(kinds), help="Replacement for missing values"),
            "Missing indicator": st.column_config.CheckboxColumn(
                width=150, help="Adds a 0/1 feature that marks missing values"
            ),
        },
    )
    refused({"key": Key.COLUMNS})
    for column in columns:
        if column.remark:
            st.caption(escape(column.remark))


def _imputations(kinds: Sequence[ColumnKind]) -> list[str]:
    """Return the labels of all treatments of missing values."""
    return list(dict.fromkeys([*_FILLED, *(kind.missing_label for kind in kinds if kind.missing_label)]))


def _height(columns: list[Column]) -> int:
    """Return the height in pixels of a table of up to twenty columns."""
    return 35 * (min(len(columns), 20) + 1) + 3


def table_row(column: Column, scale: str) -> JsonObject:
    """Return a column as a row of the table. `scale` is the project's default scaling of numbers."""
    choice, kind, learned = column.choice, column_kind(column.kind), column.role == "input"
    setting = kind.preprocessing.setting
    prepared = (choice.get(setting) if setting else None) or kind.preprocessing.default or scale
    return {
        "Column": column.name,
        "Kind": column.kind,
        "Role": column.role,
        "Missing": column.missing,
        "Values": f"{column.low} to {column.high}" if column.low else ", ".join(column.values),
        "Preprocessing": label_of(kind.preprocessing.labels, prepared) if learned else None,
        "Imputation": (label_of(_FILLED, choice.get("impute")) or kind.missing_label) if learned else None,
        "Missing indicator": bool(choice.get("indicator")),
        "Distinct": column.distinct,
    }


def _setting(kind: ColumnKind, label: str) -> tuple[str | None, str]:
    """Return the setting and the value of a label, for this kind or else for the first one that has it."""
    kinds = (kind, *column_kinds().values())
    preprocessing = next(candidate.preprocessing for candidate in kinds if label in candidate.preprocessing.labels)
    return preprocessing.setting, preprocessing.labels[label]


def label_of(labels: Mapping[str, str], value: str | None) -> str | None:
    """Return the label of a value of a setting; None if it has none."""
    return next((label for label, settings in labels.items() if settings == value), None)


def changed_options(live: Live, columns: list[Column], changes: Mapping[str, Mapping[str, Any]]) -> JsonObject:
    """Return the options of the data with the changes of the table."""
    schema = live.schema()
    settings = {
        name: _settings(change, next(column for column in columns if column.name == name))
        for name, change in changes.items()
    }
    return with_changed_columns(
        live.project.data.options,
        columns,
        settings,
        predicts_numbers=schema is not None and schema.target.type.is_number,
    )


def _settings(change: Mapping[str, Any], column: Column) -> dict[str, Any]:
    """Return the changes of one row of the table as changes of settings."""
    kind = change.get("Kind", column.choice.kind or column.kind)
    settings: dict[str, Any] = {"kind": kind} if "Kind" in change else {}
    if "Role" in change:
        settings["role"] = change["Role"]
    if change.get("Preprocessing"):
        setting, value = _setting(column_kind(kind), change["Preprocessing"])
        settings |= {setting: value} if setting else {}
    if "Imputation" in change:
        settings["impute"] = _FILLED.get(change["Imputation"])
    if "Missing indicator" in change:
        settings["indicator"] = True if change["Missing indicator"] else None
    return settings


def _apply(live: Live, options: dict[str, Any]) -> None:
    """Apply the changes of the table, or store the error; the table is redrawn in both cases."""
    form = FormState.current()
    form.refusal = None
    try:
        live.apply(reading_edit(live, {"options": options}))
    except ValueError as error:
        form.refusal = Refusal(Key.COLUMNS, escape(str(error)))
    DataState.current().column_tables += 1
