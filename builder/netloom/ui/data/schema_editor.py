"""The schema on the Data page: kind, role and preprocessing of columns, preprocessing of fields, and the split."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError, DatasetInfo, Prepared
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.quality.overview import columns
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.settings.label_merging import aliases_of
from netloom.document import DataChoice
from netloom.editing.live import Live
from netloom.store import Store
from netloom.ui.components.errors import show_error
from netloom.ui.data.column_table import column_table
from netloom.ui.data.field_settings import column_details, field_settings
from netloom.ui.data.import_options import import_options
from netloom.ui.data.split_form import split_form
from netloom.ui.data.target_picker import reading_edit, target_picker
from netloom.ui.data.upload_form import beginning
from netloom.ui.shell.background import in_background

_SHOWN = 8  # merged labels


def schema_editor(store: Store, live: Live | None, info: DatasetInfo, data: Prepared | None) -> None:
    """Draw the columns of the data, and an editor of them if the project uses it."""
    used = live if live and live.project.data.dataset == info.name else None
    choice = used.project.data if used else default_choice(info.name, store.home)
    try:
        table_columns = in_background(partial(columns, choice, store.home), "Reading the columns …")
    except DataError as error:
        show_error(error)
        if used and COLUMNS in choice.options and st.button("Reset column settings"):
            used.apply(reading_edit(used, {"options": _without(choice.options, COLUMNS)}))
            st.rerun()
        return
    if table_columns:
        column_table(used, table_columns)
    _alias_notes(choice)
    if used is None:
        if data is not None and not table_columns:
            st.dataframe(_read_as(data), hide_index=True, width="stretch")
        subject = "kinds, roles and preprocessing" if table_columns else "preprocessing"
        st.caption(f"{beginning(info)} to change {subject} and the split here.")
        return
    if table_columns:
        if not info.builtin:
            target_picker(used, table_columns)
        column_details(used, table_columns)
    import_options(used)
    if data is not None:
        field_settings(used, data, info)
    split_form(used, data)


def _alias_notes(choice: DataChoice) -> None:
    """Draw the merged labels."""
    settings: Any = choice.options.get(COLUMNS)
    for name, aliases in aliases_of(settings if isinstance(settings, dict) else {}).items():
        names = ", ".join(f"{escape(header)} as {escape(alias)}" for header, alias in list(aliases.items())[:_SHOWN])
        more = f", and {len(aliases) - _SHOWN:,} more" if len(aliases) > _SHOWN else ""
        st.caption(f"Merged labels in {escape(name)}: {names}{more}.")


def _read_as(data: Prepared) -> list[dict[str, Any]]:
    """Return the inputs and the target of data without columns, for a table."""
    target = data.schema.target
    fields = [(field.name, "input", field.kind, field.shape) for field in data.schema.inputs]
    return [
        {"Field": name, "Role": role, "Kind": kind.replace("_", " "), "Shape": " × ".join(map(str, shape)) or "1"}
        for name, role, kind, shape in [*fields, (target.name, "target", target.kind, target.shape)]
    ]


def _without(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != name}
