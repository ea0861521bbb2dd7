"""The tabs of a run: metrics with curves, errors, layers and exports."""

from __future__ import annotations

import time

import streamlit as st

from netloom import runs
from netloom.editing.live import Live
from netloom.runs.history.comparison import document
from netloom.store import Run
from netloom.tasks import Task, task
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.training import CheckpointError, Evaluation
from netloom.ui.components.curves.curve import Curves, choose_view, download, extend
from netloom.ui.components.curves.plot import plot
from netloom.ui.components.errors import show_error
from netloom.ui.components.tabs import tabs
from netloom.ui.train.episodes import episodes
from netloom.ui.train.exporting import take_away
from netloom.ui.train.layer_statistics import layer_statistics
from netloom.ui.train.prediction_history import latest_predictions, prediction_history
from netloom.ui.train.results import metric_charts, prefetch_explanations, test_metrics, worst_rows
from netloom.ui.train.state import EXPORT_TAB, WORST_TAB, Key, KnownPoints, TrainState

# How long a refresh waits for the first points of a run: less than the refresh interval.
FIRST_S = 0.6
MAX_CHARTS = 4
# In pixels: as high as the two charts beside the predictions, less their caption.
PREDICTIONS_HEIGHT = 400


def run_tabs(live: Live, run: Run, active: bool) -> None:
    """Draw the tabs of a run, if it has curves or test metrics."""
    evaluation = None if active else _evaluation(live, run)
    if evaluation is not None and not evaluation.episodes:
        prefetch_explanations(live, run)
    # A run that has not trained has no curves.
    if run.total_steps or evaluation is not None or (active and run.state != "waiting"):
        _tabs(live, run, active, evaluation)


def _evaluation(live: Live, run: Run) -> Evaluation | None:
    """Return the test metrics of a run that has ended; None if there are none, with the reason on the page."""
    try:
        evaluation = runs.evaluation(live.store, run.id)
    except CheckpointError as error:
        show_error(error)
        return None
    if evaluation is None and run.state in ("finished", "stopped"):
        st.caption("This run ended before it was evaluated. Resume it to continue.")
    return evaluation


def _tabs(live: Live, run: Run, active: bool, evaluation: Evaluation | None) -> None:
    """Draw the tabs of a run. They are the same before and after its end, so that the charts keep their place."""
    artifacts = live.store.artifacts(run.id)
    per_epoch = run.summary.steps_per_epoch or 1
    tabs(
        {
            "Metrics": lambda: _metrics(live, run, active, evaluation),
            "Episodes" if task_of(run).environment else WORST_TAB: lambda: _errors(live, run, evaluation),
            "Layers": lambda: layer_statistics(artifacts, run.id, per_epoch),
            EXPORT_TAB: lambda: _later() if active else take_away(live, run),
        },
        Key.RESULTS.of(run.id),
    )


def _metrics(live: Live, run: Run, active: bool, evaluation: Evaluation | None) -> None:
    """Draw the test metrics, the curves, and the charts of the test rows; while the run is active, the predictions
    beside the curves."""
    with st.container():
        if evaluation is not None:
            test_metrics(run, evaluation)
    predicts = active and task_of(run).explainable_prediction
    curves, predictions = st.columns([2.6, 1] if predicts else [1, 0.001], gap="medium" if predicts else None)
    with curves:
        if run.total_steps or active:
            _curves(live, run, run.summary.steps_per_epoch or 1)
    if predicts:
        with predictions:
            latest_predictions(live.store.artifacts(run.id), run.id, PREDICTIONS_HEIGHT)
    if evaluation is not None and not evaluation.episodes:
        metric_charts(evaluation)


def _later() -> None:
    st.caption("Available when the run has ended.")


def _errors(live: Live, run: Run, evaluation: Evaluation | None) -> None:
    """Draw the worst test rows and how the predictions of some validation rows developed; of an agent, its episodes."""
    if evaluation is None:
        _later()
    elif evaluation.episodes is not None:
        episodes(evaluation.episodes, run.id)
    else:
        worst_rows(live, run, evaluation)
    if task_of(run).explainable_prediction and run.total_steps:
        st.markdown("### Predictions during training")
        prediction_history(live.store.artifacts(run.id), run.id)


def task_of(run: Run) -> Task:
    """Return the task that a run trains."""
    return task(run.summary.objective)


def _curves(live: Live, run: Run, per_epoch: int) -> None:
    curves = _points(live, run)
    if not curves and run.state in ("queued", "running"):
        curves, run = _first(live, run)
    with st.container(horizontal=True, horizontal_alignment="right"):
        view = choose_view(run.id)
        download(curves, run.id)
    measures, scale = _measures(run, curves), task_of(run).scale
    frozen = document(live.store, run.id) if scale else None
    if frozen is not None and frozen.data.prepare == "standardize":
        st.caption(scale)
    message = (
        "The first points appear in a moment." if run.state in runs.ACTIVE else "The run ended before the first points."
    )
    plot(curves, f"{run.id} {run.started_at}", measures, per_epoch, view, message, run.summary.changes)


def _measures(run: Run, curves: Curves) -> list[tuple[str, str]]:
    """Return the metrics with a chart (name, title). Before the first measurement, these are the expected ones, so that
    charts do not move later."""
    titles = list((run.summary.titles or task_of(run).metrics).items())
    if any(split == run.summary.monitored_split and name not in TRAINING_LOSSES for split, name in curves):
        measured = {name for _, name in curves}
        titles = [(name, title) for name, title in titles if name in measured] or titles
    return titles[:MAX_CHARTS]


def _first(live: Live, run: Run) -> tuple[Curves, Run]:
    """Return the first points, after waiting a moment for them, so that they appear before the next refresh."""
    until, curves = time.monotonic() + FIRST_S, Curves()
    while not curves and time.monotonic() < until:
        time.sleep(0.05)
        curves = _points(live, run)
    return curves, live.store.run(run.id)


def _points(live: Live, run: Run) -> Curves:
    """Return the curves of a run. Only new points are read, but all after a resume, which may have deleted some."""
    key = (run.id, str(run.started_at))
    state = TrainState.current()
    if state.points.run != key:
        state.points = KnownPoints(key)
    new = live.store.points(run.id, state.points.last)
    extend(state.points.curves, new)
    state.points.last = new.last
    return state.points.curves
