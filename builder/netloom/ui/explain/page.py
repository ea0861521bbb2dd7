"""The Explain page: a view of a trained network, the picture first, with the choice of run, example and method beside
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom import runs as all_runs
from netloom.core.text import escape
from netloom.data import DataError
from netloom.editing.live import Live
from netloom.explain import ExplainError
from netloom.explain.core.examples import shown_example
from netloom.explain.core.starting_row import StartingRow, starting_row
from netloom.explain.core.targets import default_target_name, target_names
from netloom.jobs import JobError, RunWeights
from netloom.jobs.requests.inspection import Inspect, Inspection
from netloom.store import Run, StoreError
from netloom.training.objectives.evaluation import Evaluation
from netloom.training.weights.weight_files import CheckpointError
from netloom.ui.components.errors import show_error
from netloom.ui.explain.baseline_picker import picked_baseline
from netloom.ui.explain.compare_mode import OtherSide, choose_other_side
from netloom.ui.explain.example_picker import (
    choose_example,
    row_of,
    why_text,
)
from netloom.ui.explain.method_menu import method_menu, method_of
from netloom.ui.explain.mistakes import back_link
from netloom.ui.explain.navigation import choose_view, followed_link, write_address
from netloom.ui.explain.open_run import OpenRun, open_run
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.side_by_side import draw_comparison
from netloom.ui.explain.state import ExplainState, Key
from netloom.ui.explain.view import VIEWS, MethodUse, Places, Row, Target, View, ViewContext
from netloom.ui.shell import session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import ask
from netloom.ui.shell.run_links import run_link
from netloom.ui.shell.run_picker import choose_run, choose_weights, followed_runs, train_first, warn_of_unknown_run

CUSTOM_WORD = "Custom input"
FIRST_ENTITY = "First predicted entity"
TARGET_HELP = (
    "The output that is explained, called the target in Captum. Choose another one to ask why it was not predicted."
)
# A grid instead of columns, so that a narrow screen shows the controls between the picture and the details.
LAYOUT = """<style>
@media (min-width: 900px) {
  .st-key-explain-layout { display: grid; grid-template: auto 1fr / minmax(0, 2.7fr) minmax(250px, 1fr);
    column-gap: 2.2rem; }
  .st-key-explain-layout > :nth-child(2) { grid-area: 1 / 2 / 3 / 3; }
  .st-key-explain-layout > :nth-child(3) { grid-area: 2 / 1; }
}
@media (max-width: 640px) {
  .st-key-explain-header { gap: 0.4rem; }
  .st-key-explain-header > :first-child { flex: 1 0 100%; }
  .st-key-explain-header h2, .st-key-explain-layout h3 { font-size: 1.15rem; padding: 0; }
  .st-key-explain-header button { padding-inline: 0.6rem; }
  /* The same picture is beside the controls. */
  [class*=st-key-explain-beside] { display: none; }
  /* The sentence below the chart is visible without scrolling. */
  [class*=st-key-explain-figure], :has(> [class*=st-key-explain-figure]) { max-height: 296px; }
}
</style>"""
ERRORS = (ExplainError, DataError, StoreError, JobError, OSError, CheckpointError)


@dataclass(frozen=True)
class Loaded:
    """A run with the chosen weights, the available explanations, and its evaluation on the test rows."""

    trained: OpenRun
    weights: RunWeights
    inspection: Inspection
    evaluation: Evaluation | None


@dataclass(frozen=True)
class Aside:
    """The places of the controls beside the picture, from top to bottom."""

    method: DeltaGenerator
    example: DeltaGenerator
    probabilities: DeltaGenerator
    controls: DeltaGenerator
    preview: DeltaGenerator
    model: DeltaGenerator


def preload() -> None:
    """Import all views."""
    for view in VIEWS:
        view.load()


def page(live: Live) -> None:
    """Draw the Explain page."""
    runs = followed_runs(live)
    if not runs:
        train_first(live, "explain its predictions")
        return
    linked_run, problems = followed_link([run.id for run in runs])
    if linked_run:
        session.choose(live.id, linked_run)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key=Key.HEADER):
        st.header(escape(live.project.name), width="content", anchor=False)
        view = choose_view()
        back_link(live)
    st.html(LAYOUT)
    with st.container(key=Key.LAYOUT):
        main, beside, details = st.container(), st.container(), st.container()
    with main:
        head, body = st.container(), st.container()
    with beside:
        aside = Aside(*(st.container() for _ in fields(Aside)))
    with head:
        warn_of_unknown_run({run.id for run in runs})
    for problem in problems:
        head.warning(escape(problem))
    with body:
        _chosen_view(live, runs, view, aside, Places(head, aside.controls, aside.probabilities, details))


def _chosen_view(live: Live, runs: Sequence[Run], view: View, aside: Aside, places: Places) -> None:
    with aside.model:
        run_id = choose_run(live, runs)
        weights = choose_weights(live, run_id)
        run_link("playground", live.id, run_id, "explain", width="stretch")
    try:
        loaded = _loaded(live, weights)
        methods = loaded.inspection.methods
        refused = [method for method in methods if not method.available]
        if len(refused) == len(methods):
            st.info(f"This network cannot be explained: {escape(refused[0].reason)}")
            return
        context, other_side = _choices(live, loaded, view, aside, places)
    except ERRORS as error:
        show_error(error)
        return
    write_address(run_id, context.row, view)
    reason = view.reason(context)
    if reason:
        st.info(escape(reason), icon=":material/block:")
        return
    try:
        if view.shows_prediction and other_side is None:
            show_prediction(context, context.answer.prediction, context.answer.example)
        if other_side is None:
            view.draw(context)
        else:
            draw_comparison(view, context, other_side, partial(_open_side, live))
    except ERRORS as error:
        show_error(error)
    with places.details:
        st.caption(view.summary)


def _choices(
    live: Live, loaded: Loaded, view: View, aside: Aside, places: Places
) -> tuple[ViewContext, OtherSide | None]:
    """Draw the choices of a view, and return its context and what it is compared with."""
    trained, methods = loaded.trained, loaded.inspection.methods
    suggestion = starting_row(trained.data, loaded.evaluation)
    _apply_linked_row(trained, places.head)
    row: Row = row_of(trained, suggestion)
    target: Target = None
    if view.reads_example:
        with aside.example:
            row = choose_example(trained, loaded.evaluation, suggestion, aside.preview)
    if view.has_target:
        with aside.preview:
            target = choose_target(trained, row)
    options: dict[str, Any] = {}
    if view.has_baseline:
        with aside.model:
            options = picked_baseline(trained, loaded.weights)
    method = method_of(view, methods)
    context = ViewContext(
        live=live,
        trained=trained,
        weights=loaded.weights,
        row=row,
        why=_why(view, loaded, row, suggestion),
        target=target,
        method=method,
        options=options,
        folder=live.store.artifacts(trained.run.id).local_directory(),
        inspection=loaded.inspection,
        places=places,
    )
    with aside.method:
        if view.method_use is not MethodUse.NONE:
            method_menu(view, methods, method)
        return context, choose_other_side(view, context)


def _why(view: View, loaded: Loaded, row: Row, suggestion: StartingRow) -> str:
    if not view.reads_example or not isinstance(row, int):
        return ""
    return why_text(loaded.trained, row, loaded.evaluation, suggestion)


def _apply_linked_row(trained: OpenRun, container: DeltaGenerator) -> None:
    """Choose the row of a link that opened the page, if the data has it."""
    state, last = ExplainState.current(), trained.data.schema.rows - 1
    row, state.linked_row = state.linked_row, None
    if row is None:
        return
    if row > last:
        container.warning(f"The link names row {row:,}, but the data has the rows 0 to {last:,}.")
        return
    state.rows[trained.run.id] = row
    state.sources.pop(trained.run.id, None)


def _loaded(live: Live, weights: RunWeights) -> Loaded:
    """Return the run; a worker loads the network while the page reads the data."""
    trained, inspection = _open_side(live, weights)
    return Loaded(trained, weights, inspection, all_runs.evaluation(live.store, weights.run_id))


def _open_side(live: Live, weights: RunWeights) -> tuple[OpenRun, Inspection]:
    inspecting = ask(Inspect(weights), "Loading the network …")
    trained = in_background(partial(open_run, live.store, weights.run_id, weights.written), "Reading the data …")
    return trained, inspecting.result()


def choose_target(trained: OpenRun, row: Row) -> Target:
    """Draw the choice of the explained output, and return it; None for the prediction."""
    classes = trained.data.schema.target.classes
    if trained.data.schema.target.type.is_text:
        return {"position": st.slider("Output token", 1, trained.data.schema.target.shape[0], 1, help=TARGET_HELP) - 1}
    training = trained.project.training
    names = target_names(trained.data, training) or (classes if trained.objective.task.per_class_scores else ())
    if not names:
        return None
    usual = "Predicted class" if trained.objective.task.per_class_scores else default_target_name(training)
    usual = "Chosen action" if trained.data.schema.target.type.is_action else usual
    tagging = trained.data.schema.target.type.is_tags
    word = _word(trained, row) if tagging else None
    usual = "Predicted tag" if tagging else usual
    chosen = st.selectbox("Target", ["", *names], format_func=lambda name: name or usual, help=TARGET_HELP)
    if word is None:
        return chosen or None
    return {"position": word, **({"token": chosen} if chosen else {})}


def _word(trained: OpenRun, row: Row) -> int | None:
    """Draw the choice of the word whose tag is explained, and return its index; None for the default."""
    words = shown_example(trained.data, row).tokens[: trained.data.schema.inputs[0].shape[0]]
    chosen = st.selectbox(
        "Word",
        [-1, *range(len(words))],
        format_func=lambda index: FIRST_ENTITY if index < 0 else f"{index + 1} · {words[index]}",
        key=Key.WORD.of(row if isinstance(row, int) else CUSTOM_WORD, len(words)),
    )
    return None if chosen < 0 else int(chosen)
