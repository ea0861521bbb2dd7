"""The targets of a table on the Data page: one or several columns, and the task."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.core.plain_json import JsonObject
from netloom.core.text import escape
from netloom.data import schema
from netloom.data.quality.column_changes import targets_of, with_targets
from netloom.data.quality.overview import Column, table_options
from netloom.data.tables.targets import CLASS, LABELS, NUMBER, SEVERAL
from netloom.data.uploads import find_upload
from netloom.document import Edit, updated
from netloom.editing.live import Live
from netloom.tasks import usual_task
from netloom.ui.components.forms import bound, refused
from netloom.validation.fields import reading_edits

SINGLE = {None: "Automatic", CLASS: "Class", NUMBER: "Number", LABELS: "Multiple labels (a;b;c)"}
MANY = {None: "Several numbers", SEVERAL: "Several outputs", LABELS: "Multiple labels (yes/no)"}
HELP = (
    "Multiple labels: each row has any number of labels, in one cell such as `a;b;c` or in yes/no columns. "
    "Several outputs: classes and numbers, each with an Output and a loss of its own."
)


def target_picker(live: Live, columns: Sequence[Column]) -> None:
    """Draw the choice of the target columns and of the task, for an uploaded table."""
    names, targets = [column.name for column in columns], targets_of(columns)
    task = _task(live)
    labels = SINGLE if len(targets) == 1 else MANY
    left, right = st.columns([2, 1])
    chosen = bound(live, "targets", targets, lambda value: _choose(live, columns, value), renews=True)
    left.multiselect("Target", names, targets, format_func=escape, **chosen)
    options = [*labels, *([] if task in labels else [task])]
    binding = bound(live, "task", task, lambda value: _predict_as(live, value), renews=True)
    right.selectbox(
        "Target type",
        options,
        options.index(task),
        lambda choice: labels.get(choice, str(choice)),
        help=HELP,
        **binding,
    )
    for choice in (chosen, binding):
        refused(choice)


def _task(live: Live) -> str | None:
    """Return the task of the targets, from the document or else from the upload."""
    choice = live.project.data
    options = table_options(find_upload(choice.dataset, live.store.home), choice) or {}
    task = options.get("task")
    return task if isinstance(task, str) else None


def _choose(live: Live, columns: Sequence[Column], names: Sequence[str]) -> Edit:
    """Return the edit that makes these columns the targets, and the previous targets inputs.

    Raises:
        ValueError: no column is given, or the columns cannot be predicted; the message is a sentence.
    """
    if not names:
        raise ValueError("Select at least one target column.")
    options = with_targets(live.project.data.options, columns, names, _task(live))
    return reading_edit(live, {"options": options})


def _predict_as(live: Live, task: str | None) -> Edit:
    return reading_edit(live, {"options": {**live.project.data.options, "task": task}})


def reading_edit(live: Live, change: JsonObject) -> Edit:
    """Return the edit that changes the data, with the resulting edits of Inputs and of the objective.

    Raises:
        ValueError: the data cannot be read with this change; the message is a sentence.
    """
    before, project = live.schema(), live.project
    choice = updated(project.data, change)
    after = schema(choice, live.store.home)
    edit: Edit = {"kind": "project", "data": change}
    if after is None:
        return edit
    kind = after.target.kind
    # Only for a new kind of target, so that an objective chosen by the user stays.
    if (before is None or before.target.kind != kind) and (task := usual_task(kind)) is not None:
        edit = {**edit, "training": {"objective": task.name}}
    return {"kind": "batch", "edits": [edit, *reading_edits(project, after)]}
