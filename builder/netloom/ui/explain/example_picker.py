"""The choice of the example: a row by its number, one of the mistakes, a custom input, or a step of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import cut, escape
from netloom.data import Example
from netloom.explain.core.starting_row import StartingRow
from netloom.modalities.encoding.cells import RawRow
from netloom.training.objectives.evaluation import Evaluation, Worst
from netloom.ui.components.examples.custom_example import custom_example
from netloom.ui.components.examples.examples import label_text, show_example
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.episode_picker import chosen_step
from netloom.ui.explain.state import ExplainState, HandedInput, Key

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from netloom.ui.explain.open_run import OpenRun
    from netloom.ui.explain.view import Row

BY_ROW, CUSTOM, EPISODES = "Row", "Custom input", "Episodes"
SOURCE_HELP = (
    "The input whose prediction is explained. Row: a row of the data by its number. Custom input: type, draw, upload "
    "or record one."
)
# The longest text that fits into a cell, and the part of a very long one that is shown.
CUT, MAX_LETTERS = 20, 2000
SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def row_of(trained: OpenRun, suggestion: StartingRow) -> int:
    """Return the last chosen row of a run, or the suggested one, without drawing widgets."""
    return ExplainState.current().rows.get(trained.run.id, suggestion.row)


def why_text(trained: OpenRun, row: int, evaluation: Evaluation | None, suggestion: StartingRow) -> str:
    """Return why a row is shown, or else what kind of row it is, as Markdown."""
    if row == suggestion.row:
        return f"Row {row}. {suggestion.reason}"
    listed = {item.row: item for item in (evaluation.mistakes if evaluation else ())}
    if row in listed:
        kinds = _kinds(list(listed.values())).lower()
        return f"Row {row}. One of the {len(listed)} {kinds}: {_mistake_text(listed[row])}."
    kind = SPLITS.get(trained.data.split_of(row), "")
    note = " The network was trained on it." if kind == SPLITS["train"] else ""
    return f"Row {row}, a {kind} row.{note}" if kind else f"Row {row}, which is not in a split."


def choose_example(
    trained: OpenRun, evaluation: Evaluation | None, suggestion: StartingRow, preview: DeltaGenerator
) -> Row:
    """Draw the choice of the example, with the row itself in `preview`; return its row number, or its raw row.

    Raises:
        DataError: an uploaded file cannot be read.
    """
    run_id, state = trained.run.id, ExplainState.current()
    episodes = evaluation.episodes if evaluation else None
    sources = [EPISODES, CUSTOM] if episodes else [BY_ROW, CUSTOM]
    before = state.sources.get(run_id, sources[0])
    source = st.segmented_control(
        "Example",
        sources,
        default=before if before in sources else sources[0],
        required=True,
        key=Key.EXAMPLE.of(run_id),
        help=SOURCE_HELP,
    )
    state.sources[run_id] = str(source)
    if episodes and source == EPISODES:
        return chosen_step(trained.data, episodes, run_id)
    row = _row_number(trained, evaluation, suggestion)
    if source == CUSTOM:
        state.rows[run_id] = row  # another row would replace the edited input
        handed = state.handed.get(run_id)
        if handed is not None:
            st.caption("The input is from the Try it page. Choose another row number to start from that row instead.")
        start, name = (
            (trained.data.row(row), f"{run_id} {row}")
            if handed is None
            else (handed.row, f"{run_id} handed {handed.number}")
        )
        with st.container(border=True):
            return custom_example(trained.data, start, name)
    with preview, st.container(border=True):
        example = trained.data.example(row)
        show_whole_example(example)
        st.caption(label_text(trained.data.schema.target, example.target[:120]))
    return row


def _row_number(trained: OpenRun, evaluation: Evaluation | None, suggestion: StartingRow) -> int:
    """Draw the number of the row, which can be typed, and the list of mistakes; return the number."""
    run_id, state = trained.run.id, ExplainState.current()
    last = trained.data.schema.rows - 1
    key, listed = Key.ROW.of(run_id), {item.row: item for item in (evaluation.mistakes if evaluation else ())}
    set_value(key, min(state.rows.get(run_id, suggestion.row), last))
    number, mistakes = st.columns([1, 1.5], vertical_alignment="bottom")
    number.number_input(
        "Row number",
        0,
        last,
        key=key,
        on_change=partial(_typed, run_id),
        help=f"Type a row of the data, from 0 to {last:,}.",
    )
    # A suggested row is not stored: when the run has ended, its evaluation suggests another one.
    row = state.rows.get(run_id, suggestion.row)
    if listed:
        set_value(Key.MISTAKES.of(run_id), row if row in listed else None)
        mistakes.selectbox(
            f"{_kinds(list(listed.values()))} ({len(listed)})",
            list(listed),
            format_func=lambda item: (
                f"Row {item}: {cut(listed[item].predicted, 32)}, label {cut(listed[item].target, 32)}"
            ),
            key=Key.MISTAKES.of(run_id),
            placeholder="Choose one",
            on_change=partial(_picked, run_id),
            help="The wrong predictions with the largest loss on the test rows, largest loss first.",
        )
    return row


def _typed(run_id: str) -> None:
    ExplainState.current().handed.pop(run_id, None)
    ExplainState.current().rows[run_id] = int(value_of(Key.ROW.of(run_id)))


def _picked(run_id: str) -> None:
    row = value_of(Key.MISTAKES.of(run_id))
    if row is not None:
        ExplainState.current().handed.pop(run_id, None)
        ExplainState.current().rows[run_id] = int(row)


def explain_input(run_id: str, row: int, edited: RawRow | None) -> None:
    """Let the Explain page open with a row of a run, or with an edited raw row."""
    state = ExplainState.current()
    state.rows[run_id] = row
    state.sources.pop(run_id, None)
    state.handed.pop(run_id, None)
    if edited is not None:
        state.sources[run_id] = CUSTOM
        state.inputs_handed += 1
        state.handed[run_id] = HandedInput(edited, state.inputs_handed)


def _kinds(mistakes: Sequence[Worst]) -> str:
    """Return the title of a list of mistakes. Predictions without a confidence, such as numbers, are all a bit off."""
    return "Mistakes" if any(item.confidence is not None for item in mistakes) else "Largest errors"


def _mistake_text(mistake: Worst) -> str:
    sure = f" ({mistake.confidence:.0%})" if mistake.confidence is not None else ""
    return f"predicted {escape(mistake.predicted[:40])}{sure}, label {escape(mistake.target[:40])}"


def show_whole_example(example: Example) -> None:
    """Draw the example, with long texts of columns below the others, because a table would cut them."""
    long = {name: text for name, text in example.columns.items() if isinstance(text, str) and len(text) > CUT}
    show_example(replace(example, columns={name: value for name, value in example.columns.items() if name not in long}))
    for name, text in long.items():
        st.markdown(f"**{escape(name)}**  \n{escape(text[:MAX_LETTERS])}")
