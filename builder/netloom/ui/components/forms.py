"""Widgets bound to the project: what is typed becomes an edit, and what is refused is said beneath the widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from netloom.data import DataError, DatasetInfo, datasets, schema
from netloom.data.preparation.project_defaults import default_training, with_defaults
from netloom.data.preparation.settings_transfer import carried, preprocessing
from netloom.document import Edit, EditError
from netloom.editing.live import Live
from netloom.ui.components.page_state import value_of
from netloom.ui.components.state import FormState, Refusal, bound_key
from netloom.ui.components.words import escape, unique_labels
from netloom.ui.shell.errors import show_error
from netloom.validation.fields import field_edits


def bound(
    live: Live,
    name: str,
    current: Any,
    edit: Callable[[Any], Edit],
    *,
    renews: bool = False,
    follow: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """The arguments that bind a widget, one on the page of this name, to the project: its key, and what a change does.

    `shown` is the value that the widget is drawn with, `edit` the edit that another one makes; it may raise a
    ValueError with a sentence. `renews` is for edits that change what other widgets show, and `follow` is called after
    an edit, to have other fragments of the page drawn.
    """
    generation = live.generation
    state = FormState.current()
    own_changes = state.typed[live.id]
    key = bound_key(live.id, generation, live.typed[name] - own_changes[name], name)

    def commit() -> None:
        # Streamlit may replay this for a form that is gone: the generation tells, and so does a value that is as drawn.
        if generation != live.generation:
            return
        state.refusal = None
        value = value_of(key, current)
        if value == current:
            return
        try:
            live.apply(edit(value), widget=name, renews=renews)
            own_changes[name] += 1
        except EditError as error:
            sentences = " ".join(field.at_field for field in error.errors)
            state.refusal = Refusal(key, sentences or str(error))
            return
        except ValueError as error:
            state.refusal = Refusal(key, str(error))
            return
        if follow is not None:
            follow()

    return {"key": key, "on_change": commit}


def refused(arguments: Mapping[str, Any]) -> None:
    """Say why the last change of the widget with these arguments was refused, if it was."""
    refusal = FormState.current().refusal
    if refusal is not None and refusal.key == arguments["key"]:
        show_error(refusal.sentence)


def choose_data(live: Live, name: str, follow: Callable[[], None] | None = None) -> None:
    """The choice of the project's data, on the page of this name. `follow`: as of `bound`."""
    infos = {info.name: info for info in datasets(live.store.home)}
    labels = unique_labels({"": "Select data", **{name: info.title for name, info in infos.items()}})
    names, chosen = ["", *infos], live.project.data.dataset
    if chosen not in infos:
        chosen = ""
    st.selectbox(
        "Data",
        names,
        names.index(chosen),
        format_func=labels.__getitem__,
        **bound(live, name, chosen, lambda value: data_edit(live, value, infos), renews=True, follow=follow),
    )


def data_edit(live: Live, name: str, infos: Mapping[str, DatasetInfo]) -> Edit:
    """Choose data, with the objective that it asks for. How columns and fields are preprocessed is kept as far as it
    fits, and a remark says what does not.

    Inputs that read no field yet, such as those of an import, read the one that they fit.
    """
    # What is predicted and how rows are split goes by columns of the data that was, so the new data is asked.
    data: dict[str, Any] = {"dataset": name, "options": {}, "split": "auto", "folds": None, "fold": 0, "gap": 0}
    edit: Edit = {"kind": "project", "data": data}
    if name not in infos:
        return edit
    before = live.project.data.model_copy(update={**data, "options": preprocessing(live.project.data.options)})
    choice, remarks = carried(before, name, live.store.home)
    for remark in remarks:
        st.toast(escape(remark))
    choice = with_defaults(choice, live.store.home)
    data |= {name: getattr(choice, name) for name in ("options", "split", "gap", "duplicates")}
    edit = {**edit, "training": {"objective": infos[name].task, **default_training(name, live.store.home)}}
    try:
        data_schema = schema(choice, live.store.home)
    except DataError:
        return edit  # the page says what is wrong with the data
    return {"kind": "batch", "edits": [edit, *field_edits(live.project, data_schema)]}
