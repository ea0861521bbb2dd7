"""Widgets bound to the project: what is typed becomes an edit, and what is refused is said beneath the widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from builder.data import DatasetInfo
from builder.graph import Edit
from builder.ui.live import Live


def bound(live: Live, name: str, shown: Any, edit: Callable[[Any], Edit], *, renews: bool = False) -> dict[str, Any]:
    """The arguments that bind a widget, one on the page of this name, to the project: its key, and what a change does.

    `shown` is the value that the widget is drawn with, `edit` the edit that another one makes; it may raise a
    ValueError with a sentence. `renews` is for edits that change what other widgets show.
    """
    generation = live.generation
    key = f"{live.id}/{generation}/{name}"

    def commit() -> None:
        # Streamlit may replay this for a form that is gone: the generation tells, and so does a value that is as drawn.
        if generation != live.generation:
            return
        st.session_state.pop("refusal", None)
        value = st.session_state.get(key, shown)
        if value == shown:
            return
        try:
            live.apply(edit(value), from_form=not renews)
        except ValueError as error:
            st.session_state["refusal"] = (key, str(error))

    return {"key": key, "on_change": commit}


def refused(arguments: Mapping[str, Any]) -> None:
    """Say why the last change of the widget with these arguments was refused, if it was."""
    key, sentence = st.session_state.get("refusal", ("", ""))
    if key == arguments["key"]:
        st.error(sentence)


def data_edit(name: str, infos: Mapping[str, DatasetInfo]) -> Edit:
    """Choose data, with the objective that it asks for; options belong to the data that was."""
    edit: Edit = {"kind": "project", "data": {"dataset": name, "options": {}}}
    return {**edit, "training": {"objective": infos[name].task}} if name in infos else edit
