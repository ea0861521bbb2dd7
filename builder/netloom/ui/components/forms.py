"""Widgets bound to the project: changes become edits, and errors are shown below the widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError, DatasetInfo, datasets, schema
from netloom.data.preparation.project_defaults import default_training, with_defaults
from netloom.data.preparation.settings_transfer import carried, preprocessing
from netloom.document import Edit, EditError
from netloom.editing.live import Live
from netloom.ui.components.errors import show_error
from netloom.ui.components.page_state import value_of
from netloom.ui.components.state import FormState, Refusal, bound_key
from netloom.ui.components.words import unique_labels
from netloom.validation.fields import field_edits


class Binding(TypedDict):
    """The arguments by which a widget changes the project."""

    key: str
    on_change: Callable[[], None]


def bound(
    live: Live,
    name: str,
    current: Any,
    edit: Callable[[Any], Edit],
    *,
    renews: bool = False,
    follow: Callable[[], None] | None = None,
) -> Binding:
    """Return the arguments that bind a widget to the project.

    Args:
        name: The name of the widget, unique on the page.
        current: The value that the widget shows.
        edit: Returns the edit for a new value, or raises a ValueError whose message is a sentence.
        renews: Whether the edit changes the values of other widgets.
        follow: Called after an edit, to redraw other fragments of the page.
    """
    generation = live.generation
    state = FormState.current()
    change_counts = state.typed[live.id]
    # The changes of this widget in other tabs: its own changes must not renew it.
    key = bound_key(live.id, generation, live.typed[name] - change_counts[name], name)

    def commit() -> None:
        # Streamlit can replay the callback of a form that is gone; its generation, or an unchanged value, shows that.
        if generation != live.generation:
            return
        state.refusal = None
        value = value_of(key, current)
        if value == current:
            return
        try:
            live.apply(edit(value), widget=name, renews=renews)
            change_counts[name] += 1
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
    """Show the error of the last change of the widget with these arguments, if it was refused."""
    refusal = FormState.current().refusal
    if refusal is not None and refusal.key == arguments["key"]:
        show_error(refusal.sentence)


def choose_data(live: Live, name: str, follow: Callable[[], None] | None = None) -> None:
    """Draw the choice of the project's data. `name` and `follow` are those of `bound`."""
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
    """Return the edit that chooses data and its default objective, and show toasts about settings that do not fit.

    The preprocessing of columns and fields is transferred if it fits. Inputs without a field, such as those of an
    import, get the field that fits them.
    """
    # The target and the split refer to columns of the previous data, so those of the new data are inferred.
    data: dict[str, Any] = {"dataset": name, "options": {}, "split": "auto", "folds": None, "fold": 0, "gap": 0}
    edit: Edit = {"kind": "project", "data": data}
    if name not in infos:
        return edit
    before = live.project.data.model_copy(update={**data, "options": preprocessing(live.project.data.options)})
    choice, remarks = carried(before, name, live.store.home)
    for remark in remarks:
        st.toast(escape(remark))
    choice = with_defaults(choice, live.store.home)
    data |= choice.model_dump(mode="json", exclude={"dataset"})
    edit = {**edit, "training": {"objective": infos[name].task, **default_training(name, live.store.home)}}
    try:
        data_schema = schema(choice, live.store.home)
    except DataError:
        return edit  # the page shows the error
    return {"kind": "batch", "edits": [edit, *field_edits(live.project, data_schema)]}
