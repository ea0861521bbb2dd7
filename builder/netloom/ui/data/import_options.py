"""The questions about an upload that a project can answer anew on the Data page, such as the columns to predict."""

from __future__ import annotations

from typing import Any

import streamlit as st

from netloom.data.import_questions import import_questions
from netloom.data.uploads.upload_kind import Question
from netloom.document import Edit
from netloom.editing.live import Live
from netloom.ui.components.column_row import in_rows
from netloom.ui.components.forms import bound, refused
from netloom.ui.data.target_picker import reading_edit
from netloom.ui.data.upload_form import ask

ACROSS = 3  # widgets side by side


def import_options(live: Live) -> None:
    """Draw the questions of the data of a project, if a project can answer them; a change edits its document."""
    questions = import_questions(live.project.data, live.store.home).questions
    if not questions:
        return
    st.markdown("**Import options**")
    for column, question in in_rows(questions, ACROSS):

        def change(value: Any, question: Question = question) -> Edit:
            if value in (None, []) and not question.optional:
                raise ValueError(f"{question.label} needs a value.")
            options = {**live.project.data.options, question.name: value}
            return reading_edit(live, {"options": options})

        binding = bound(live, f"import {question.name}", _shown(question), change, renews=True)
        with column:
            ask(question, **binding)
            refused(binding)


def _shown(question: Question) -> Any:
    """Return the answer as its widget shows it."""
    single = question.takes_several and not isinstance(question.default, (list, tuple))
    return [question.default] if single else question.default
