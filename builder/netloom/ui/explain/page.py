"""The Explain page: the choice of a run, its weights and an example, the prediction, and a view that explains it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from netloom import runs
from netloom.data import DataError, Example
from netloom.editing.live import Live
from netloom.explain import ExplainError
from netloom.explain.core.examples import read_example as read_example
from netloom.explain.core.prediction import ExamplePrediction
from netloom.explain.core.targets import target_names
from netloom.jobs import JobError, RunWeights
from netloom.jobs.inspection import Answer, Inspect, Inspection
from netloom.store import Run, StoreError
from netloom.training.weight_files import CheckpointError
from netloom.ui.components.page_state import has_value, set_value
from netloom.ui.components.words import at, escape, unique_labels
from netloom.ui.explain.baseline_picker import picked_baseline
from netloom.ui.explain.custom_example import custom_example
from netloom.ui.explain.headline import visible
from netloom.ui.explain.open_run import OpenRun, open_run
from netloom.ui.explain.state import ExplainState, Key
from netloom.ui.explain.view import VIEWS, Row, Target, ViewContext
from netloom.ui.shell import session
from netloom.ui.shell.background import in_background
from netloom.ui.shell.errors import show_error
from netloom.ui.shell.jobs import ask, computed
from netloom.ui.train.episodes import chosen_step
from netloom.ui.train.results import show_example

CHECKPOINTS = {"best": "Best", "last": "Last"}
TEST, WORST, OWN, EPISODES = "Test rows", "Largest loss", "Custom input", "Episodes"
SURE = 4
FIRST_ENTITY = "First predicted entity"
TARGET_HELP = (
    "The output that is explained, called the target in Captum. Choose another one to ask why it was not predicted."
)
# The longest text that fits into a cell, and the part of a very long one that is shown.
CUT, MOST_LETTERS = 20, 2000


@dataclass(frozen=True)
class Loaded:
    """A run with the chosen weights and the available explanations."""

    trained: OpenRun
    weights: RunWeights
    inspection: Inspection


def page(live: Live) -> None:
    """Draw the Explain page."""
    runs = [run for run in live.store.runs(live.id) if _written(live, run.id)]
    st.subheader(escape(live.project.name))
    if not runs:
        st.info("This project has no trained run yet. Train the network first, then explain its predictions here.")
        if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
            st.switch_page("pages/train.py")
        return
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        run_id = _run(live, runs)
        checkpoint = _checkpoint(live, run_id)
        try:
            loaded = _loaded(live, RunWeights(run_id, checkpoint, _written(live, run_id)))
        except (DataError, StoreError, OSError, CheckpointError, JobError) as error:
            show_error(error)
            return
        methods = loaded.inspection.methods
        refused = [method for method in methods if not method.available]
        if len(refused) == len(methods):
            st.info(f"This network cannot be explained: {escape(refused[0].reason)}")
            return
        try:
            row = _row(live, loaded.trained)
        except (DataError, CheckpointError) as error:
            show_error(error)
            return
        target = choose_target(loaded.trained, row)
        try:
            options = picked_baseline(loaded.trained)
        except DataError as error:
            show_error(error)
            return
    with right:
        _answer_and_view(live, loaded, row, target, options)


def _written(live: Live, run_id: str) -> float:
    """Return when the weights of a run were written, in seconds since 1970; 0 if there are none."""
    return live.store.artifacts(run_id).weights_written_at()


def _run(live: Live, runs: list[Run]) -> str:
    by_id = {run.id: run for run in runs}
    chosen = session.chosen_run()
    index = list(by_id).index(chosen) if chosen in by_id else 0
    labels = unique_labels({run.id: _name(run) for run in runs})
    run_id = st.selectbox("Run", list(by_id), index=index, format_func=labels.__getitem__)
    session.choose(live.id, run_id)
    return run_id


def _name(run: Run) -> str:
    return f"{run.title[:60]} · {run.state} · {at(run.created_at)}"


def _checkpoint(live: Live, run_id: str) -> str:
    """Return the chosen weights, the best or the last; draws the choice if both exist."""
    artifacts = live.store.artifacts(run_id)
    stored = artifacts.stored_weights()
    if len(stored) < 2:
        return stored[0]
    chosen = st.segmented_control(
        "Weights",
        stored,
        default=artifacts.default_weights(),
        format_func=CHECKPOINTS.__getitem__,
        required=True,
        key=Key.WEIGHTS.of(run_id),
        help="Best: the checkpoint with the best monitored metric. Last: the checkpoint at the end of training.",
    )
    return str(chosen)


def _loaded(live: Live, weights: RunWeights) -> Loaded:
    """Return the run; a worker loads the network while the page reads the data."""
    inspecting = ask(Inspect(weights), "Loading the network …")
    trained = in_background(partial(open_run, live.store, weights.run_id, weights.written), "Reading the data …")
    return Loaded(trained, weights, inspecting.result())


def _row(live: Live, trained: OpenRun) -> Row:
    """Draw the choice of the example, and return it: a test row, a row with a large loss, a custom one, or a step of an
    agent's episode."""
    run_id = trained.run.id
    evaluation = runs.evaluation(live.store, run_id)
    sources = [TEST, *([WORST] if evaluation and evaluation.worst else []), OWN]
    if evaluation and evaluation.episodes:
        sources = [EPISODES, OWN]
    source = st.segmented_control(
        "Example",
        sources,
        default=sources[0],
        required=True,
        wrap=True,
        key=Key.EXAMPLES.of(sources[0]),
        help="The input whose prediction is explained. Custom input: type, draw, upload or record one.",
    )
    if evaluation and evaluation.episodes and source != OWN:
        return chosen_step(trained.data, evaluation.episodes, run_id)
    rows = (
        [worst.row for worst in evaluation.worst]
        if evaluation and source == WORST
        else trained.data.split["test"].tolist()
    )
    label = "Start from example" if source == OWN else "Example number"
    place = st.slider(label, 1, len(rows), 1, key=Key.EXAMPLE.of(run_id, source)) if len(rows) > 1 else 1
    row = int(rows[place - 1])
    with st.container(border=True):
        if source == OWN:
            return custom_example(trained.data, trained.data.row(row), f"{run_id} {row}")
        example = trained.data.example(row)
        show_whole_example(example)
        st.caption(f"Row {row} · {escape(trained.data.schema.target.name)}: **{escape(example.target[:120])}**")
    return row


def show_whole_example(example: Example) -> None:
    """Draw the example, with long texts of columns below the others, because a table would cut them."""
    long = {name: text for name, text in example.columns.items() if isinstance(text, str) and len(text) > CUT}
    show_example(replace(example, columns={name: value for name, value in example.columns.items() if name not in long}))
    for name, text in long.items():
        st.markdown(f"**{escape(name)}**  \n{escape(text[:MOST_LETTERS])}")


def choose_target(trained: OpenRun, row: Row) -> Target:
    classes = trained.data.schema.target.classes
    if trained.data.schema.target.type.is_text:
        return {"position": st.slider("Output token", 1, trained.data.schema.target.shape[0], 1, help=TARGET_HELP) - 1}
    names = target_names(trained.data, trained.project.training) or (
        classes if trained.objective.task.per_class_scores else ()
    )
    if not names:
        return None
    usual = "Predicted class" if trained.objective.task.per_class_scores else "Default output"
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
    inputs, example = read_example(trained.data, row)
    words = example.tokens[: next(iter(inputs.values())).shape[1]]
    chosen = st.selectbox(
        "Word",
        [-1, *range(len(words))],
        format_func=lambda place: FIRST_ENTITY if place < 0 else f"{place + 1} · {words[place]}",
        key=Key.WORD.of(row if isinstance(row, int) else OWN, len(words)),
    )
    return None if chosen < 0 else int(chosen)


def _answer_and_view(live: Live, loaded: Loaded, row: Row, target: Target, options: dict[str, Any]) -> None:
    trained, weights = loaded.trained, loaded.weights
    try:
        answer = computed(Answer(weights, row, target), "Computing the prediction …")
    except (ExplainError, DataError, JobError) as error:
        show_error(error)
        return
    _answer(trained, answer)
    folder = live.store.artifacts(trained.run.id).local_directory()
    method = _method(loaded.inspection)
    context = ViewContext(live, trained, weights, row, target, answer, method, options, folder, loaded.inspection)
    reasons = {view.name: view.reason(context) for view in VIEWS}
    views = {view.name: view for view in VIEWS}
    labels = {name: f":gray[{view.title}]" if reasons[name] else view.title for name, view in views.items()}
    if not has_value(Key.VIEW):
        set_value(Key.VIEW, VIEWS[0].name)  # instead of a default, as buttons set this value as well
    name = st.segmented_control(
        "View",
        list(views),
        format_func=labels.__getitem__,
        required=True,
        key=Key.VIEW,
        label_visibility="collapsed",
        wrap=True,
    )
    view = views[str(name)]
    if reasons[view.name]:
        st.info(escape(reasons[view.name]), icon=":material/block:")
        return
    st.caption(f"{view.summary} Target: {escape(answer.target.quantity)}." if view.of_answer else view.summary)
    try:
        view.draw(context)
    except (ExplainError, DataError, StoreError, JobError, OSError) as error:
        show_error(error)


def _method(inspection: Inspection) -> str:
    """Return the last chosen method, or else the first available one."""
    fitting = [method.name for method in inspection.methods if method.available]
    chosen = ExplainState.current().method
    return chosen if chosen in fitting else fitting[0]


def _answer(trained: OpenRun, answered: ExamplePrediction) -> None:
    """Draw the prediction, whether it is correct, and its probabilities."""
    text, truth, mark = answered.prediction.text, answered.example.target, ""
    if truth and trained.objective.task.per_class_scores and trained.data.schema.target.type.is_class:
        right = text == truth
        verdict = "correct" if right else f"incorrect, the label is {truth[:40]}"
        mark = f" :{'green' if right else 'red'}-badge[:material/{'check' if right else 'close'}: {escape(verdict)}]"
    st.markdown(f"### Prediction: **{escape(visible(text)[:80])}**{mark}")
    shares = sorted(answered.prediction.probabilities.items(), key=lambda item: -item[1])[:SURE]
    if shares:
        for column, (name, share) in zip(st.columns(SURE), shares, strict=False):
            column.progress(min(max(share, 0.0), 1.0), f"{escape(visible(name)[:30])}: {share:.1%}")
