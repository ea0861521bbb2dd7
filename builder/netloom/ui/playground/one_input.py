"""One input, which starts from a row of the data, and the predictions of one or two runs for it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.compression import registry
from netloom.core.text import cut, escape
from netloom.data import DataError
from netloom.editing.live import Live
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.predictions import LatentSize, Predict
from netloom.modalities.encoding.cells import RawRow
from netloom.runs.prediction.text_generation import generates_text
from netloom.store import StoreError
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.examples.custom_example import custom_example
from netloom.ui.components.examples.examples import label_text
from netloom.ui.components.live_typing import send_while_typing
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.explain.open_run import OpenRun
from netloom.ui.playground.generation import generation
from netloom.ui.playground.input_actions import input_actions
from netloom.ui.playground.latents import latents
from netloom.ui.playground.results import show_result
from netloom.ui.playground.state import Key, TryItState
from netloom.ui.shell.jobs import Pending, ask, computed

ERRORS = (DataError, StoreError, JobError, OSError, CheckpointError)
LOADING = "Loading the network …"
ROW_WIDTH = 160  # in pixels
SEES_TRAINING = "The network was trained on this row."


@dataclass(frozen=True)
class Tried:
    """A run on this page, with the weights that predict."""

    live: Live
    trained: OpenRun
    weights: RunWeights

    @property
    def run_id(self) -> str:
        return self.trained.run.id

    @property
    def title(self) -> str:
        """The title of the run, with its variant if one predicts."""
        title = self.trained.run.title[:60]
        return f"{title} · {registry()[self.weights.variant].title}" if self.weights.variant else title


@st.fragment
@guard()
def one_input(tried: Tried, second: Tried | None) -> None:
    """Draw the input and its predictions. A fragment, so that a keystroke does not draw the whole page."""
    task = tried.trained.objective.task
    if task.generates_input:
        for side in filter(None, (tried, second)):
            latents(side.trained, side.weights, _latent_size(side))
        return
    left, right = st.columns([1, 1.15], gap="large")
    with left:
        row = _row_number(tried.trained)
        raw = _edited(tried, row)
    if raw is None:
        return
    with right, st.container(key=Key.RESULT):
        _results(tried, second, raw, row)
    if task.reconstructs_input:
        for side in filter(None, (tried, second)):
            if size := _latent_size(side):
                latents(side.trained, side.weights, size)


def _row_number(trained: OpenRun) -> int:
    """Draw the number of the row from which the input starts, and return it."""
    state, run_id, last = TryItState.current(), trained.run.id, trained.data.schema.rows - 1
    if run_id not in state.rows:
        state.rows[run_id] = _random_row(trained)
    key = Key.ROW.of(run_id)
    set_value(key, min(state.rows[run_id], last))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            "Start from row",
            0,
            last,
            key=key,
            width=ROW_WIDTH,
            on_change=partial(_typed, run_id),
            help=f"Type a row of the data, from 0 to {last:,}. The input starts with its values.",
        )
        st.button(
            "Another row",
            icon=":material/shuffle:",
            key=Key.ANOTHER_ROW.of(run_id),
            width="content",
            on_click=partial(_another, trained),
        )
        st.button(
            "Reset",
            icon=":material/undo:",
            key=Key.RESET.of(run_id),
            width="content",
            on_click=partial(_reset, run_id),
        )
    return state.rows[run_id]


def _typed(run_id: str) -> None:
    TryItState.current().rows[run_id] = int(value_of(Key.ROW.of(run_id)))


def _another(trained: OpenRun) -> None:
    TryItState.current().rows[trained.run.id] = _random_row(trained)
    _reset(trained.run.id)


def _reset(run_id: str) -> None:
    resets = TryItState.current().resets
    resets[run_id] = resets.get(run_id, 0) + 1


def _random_row(trained: OpenRun) -> int:
    """Return a random test row, or any row of data without a test split."""
    rows = trained.data.rows["test"]
    return int(random.choice(rows)) if len(rows) else random.randrange(trained.data.schema.rows)


def _edited(tried: Tried, row: int) -> RawRow | None:
    """Draw the editor, and return the edited raw row; None if an uploaded file cannot be read."""
    trained, run_id = tried.trained, tried.run_id
    start, resets = trained.data.row(row), TryItState.current().resets.get(run_id, 0)
    with st.container(border=True, key=Key.EDITOR):
        try:
            raw = custom_example(trained.data, start, f"try {run_id} {row} {resets}")
        except DataError as error:
            show_error(error)
            return None
    send_while_typing(Key.EDITOR)
    changed = _is_changed(trained, start, raw)
    with st.container(horizontal=True, vertical_alignment="center"):
        input_actions(tried.live, trained, tried.weights, raw, row, is_row=not changed)
        st.caption(_about(trained, row, changed), width="content")
    return raw


def _is_changed(trained: OpenRun, start: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    """Return whether the network reads another input than that of the row."""
    try:
        before, after = (trained.data.encode_arrays(value, trained.fields) for value in (start, raw))
    except DataError:  # shown with the prediction
        return True
    return any(not np.array_equal(before[name], after[name]) for name in before)


def _about(trained: OpenRun, row: int, changed: bool) -> str:
    """Return the label of an unchanged row, as Markdown."""
    if changed:
        return "Changed input, whose label is unknown."
    target, task = trained.data.schema.target, trained.objective.task
    label = "" if target.type.continues_text or task.reconstructs_input else trained.data.target_text(row)
    training_note = f" {SEES_TRAINING}" if trained.data.split_of(row) == "train" else ""
    if not label:
        return f"Row {row}.{training_note}"
    return f"Row {row}, {label_text(target, cut(label, 80).rstrip('.'))}.{training_note}"


def _results(tried: Tried, second: Tried | None, raw: RawRow, row: int) -> None:
    """Draw the predictions of one run, or of two side by side."""
    sides = [side for side in (tried, second) if side is not None]
    pending = [ask(Predict(side.weights, raw), LOADING) for side in sides]
    containers = st.columns(len(sides)) if len(sides) > 1 else [st.container()]
    for side, waiting, container in zip(sides, pending, containers, strict=True):
        with container:
            if len(sides) > 1:
                st.markdown(f"**{escape(side.title)}**")
            _result(side, waiting, raw, container)


def _result(side: Tried, pending: Pending[Any], raw: RawRow, container: DeltaGenerator) -> None:
    try:
        show_result(pending.result(container), side.trained, raw)
    except ERRORS as error:
        show_error(error)
        return
    if generates_text(side.trained.data.schema):
        generation(side.trained, side.weights, raw)


def _latent_size(side: Tried) -> int:
    return computed(LatentSize(side.weights), LOADING)
