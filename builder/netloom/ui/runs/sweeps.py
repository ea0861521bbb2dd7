"""Sweeps on the Runs page: the search space, the progress of trials, and the application of the best one."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape
from netloom.data import DataError
from netloom.document import EditError
from netloom.editing.live import Live
from netloom.jobs.requests.hyperparameters import SweepImportance
from netloom.runs import cluster
from netloom.runs.execution.pruners import PRUNERS
from netloom.runs.history.comparison import measure_of, shown
from netloom.runs.history.setting_titles import setting_title, setting_value
from netloom.runs.search import sweeps
from netloom.runs.search.confidence_interval import of_sweep
from netloom.runs.search.samplers import SAMPLERS, Sampler
from netloom.runs.search.search_space import MAX_CHOICES, POINTS, Parameter, SpaceError, check_space, grid, searchable
from netloom.store import Store, StoreError, Sweep, Trial
from netloom.tasks import task
from netloom.ui.components.backend_picker import on_cluster
from netloom.ui.components.charts.charts import COLORS, MARGIN, described
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.metric_texts import formatter, heading, measured, metric_table
from netloom.ui.components.words import at, unique_labels
from netloom.ui.runs.comparison import FLAT, IMPORTANCE_TEXT, called, parallel, show_importance, varied
from netloom.ui.runs.state import Key, RunsState
from netloom.ui.shell import identity
from netloom.ui.shell.background import in_background
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

REFRESH_S = 2.0
STATES = {"running": "Running", "stopped": "Stopped", "finished": "Finished", "failed": "Failed"}
_SAMPLING = "TPE uses the results of earlier trials, random search does not, grid search tries every combination"


def sweep_section(live: Live) -> None:
    """Draw the sweeps of the open project."""
    st.header(escape(live.project.name))
    left, right = st.columns([1, 2], gap="large")
    with left, st.container(border=True):
        _new(live)
    with right:
        _watch_sweep(live)


def _new(live: Live) -> None:
    titles = {name: kind.title for name, kind in sweeps.KINDS.items()}
    first = next(iter(titles))
    chosen = st.segmented_control(
        "Kind", list(titles), default=first, format_func=titles.__getitem__, key=Key.SWEEP_KIND
    )
    kind = sweeps.KINDS[chosen or first]
    st.caption(kind.help)
    space: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if kind.is_search:
        titles = {name: sampler.title for name, sampler in SAMPLERS.items()}
        name = st.selectbox(
            "Search algorithm", list(titles), format_func=titles.__getitem__, key=Key.SAMPLER, help=_SAMPLING
        )
        sampler = SAMPLERS[name]
        space = _space(searchable(live.project), sampler.uses_grid)
        settings = {"sampler": name, "trials": _trials(live, space, sampler)}
    else:
        count = st.number_input(kind.name.capitalize(), 2, 100, 5, key=Key.COUNT.of(kind.name))
    measures = dict(task(live.project.training.objective).metrics)
    metric = st.selectbox("Validation metric", list(measures), format_func=measures.__getitem__, key=Key.METRIC)
    if kind.is_search:
        titles = {name: pruner.title for name, pruner in PRUNERS.items()}
        settings["pruner"] = st.selectbox("Pruning", list(titles), format_func=titles.__getitem__, key=Key.PRUNER)
    backend = cluster.RAY if on_cluster() else ""
    ready = bool(space or not kind.is_search) and bool(live.project.data.dataset)
    if st.button("Start sweep", type="primary", icon=":material/tune:", width="stretch", disabled=not ready):
        try:
            if kind.repeat:
                project, plan = kind.repeat(live.project, int(count), metric=metric, backend=backend)
            else:
                settings |= {"metric": metric, "backend": backend}
                project, plan = live.project, sweeps.plan(live.project, space, **settings)
            start = partial(sweeps.start, live.store, live.id, project, plan, owner=identity.owner())
            started = in_background(start, "Starting …")
            RunsState.current().sweep = started
        except (SpaceError, StoreError) as error:
            show_error(error)
        else:
            st.rerun()


def _trials(live: Live, space: dict[str, Any], sampler: Sampler) -> int:
    """Draw the number of trials, and return it; by default all combinations of a grid."""
    if not sampler.uses_grid or not space:
        return int(st.number_input("Trials", 1, sweeps.MAX_TRIALS, 20, key=Key.TRIALS))
    try:
        size = len(grid(check_space(live.project, space)))
    except SpaceError:  # shown when the sweep is started
        size = 1
    largest = min(size, sweeps.MAX_TRIALS)
    # A grid of another size gets a new widget, whose value is again the whole grid.
    trials = int(st.number_input("Trials", 1, largest, largest, key=Key.TRIALS_OF.of(size)))
    spread = f"; this sweep tries {trials:,} of them, spread over the grid." if trials < size else "."
    st.caption(f"The grid has {size:,} combination{'s'[: size != 1]}{spread}")
    return trials


def _space(parameters: list[Parameter], in_grid: bool) -> dict[str, Any]:
    """Draw the search space, and return it: a range or choices for each selected parameter."""
    by_path = {item.path: item for item in parameters}
    first = [path for path in ("training.learning_rate",) if path in by_path]
    paths = st.multiselect(
        "Parameters", list(by_path), first, format_func=lambda path: by_path[path].title, key=Key.PATHS
    )
    space: dict[str, Any] = {}
    for path in paths:
        item = by_path[path]
        st.markdown(f"**{escape(item.title)}** · :small[now {escape(shown(item.value))}]")
        space[path] = _choices(item) if "choices" in item.proposal else _range(item, in_grid)
    return space


def _choices(item: Parameter) -> dict[str, Any]:
    options = [json.dumps(choice) for choice in item.proposal["choices"]]
    chosen = st.multiselect(
        "Choices",
        options,
        options,
        format_func=lambda text: shown(json.loads(text)),
        key=Key.CHOICES.of(item.path),
        label_visibility="collapsed",
    )
    return {"choices": [json.loads(text) for text in chosen]}


def _range(item: Parameter, in_grid: bool) -> dict[str, Any]:
    low_column, high_column, *points_column = st.columns([2, 2, 1.6] if in_grid else 2)
    is_integer = bool(item.proposal.get("whole"))
    widget: dict[str, Any] = {"step": 1} if is_integer else {"format": "%g", "step": None}
    low, high = (
        (int if is_integer else float)(item.proposal["low"]),
        (int if is_integer else float)(item.proposal["high"]),
    )
    low_value = low_column.number_input("From", value=low, key=Key.LOW.of(item.path), **widget)
    high_value = high_column.number_input("To", value=high, key=Key.HIGH.of(item.path), **widget)
    log = st.toggle("Log scale", bool(item.proposal.get("log")), key=Key.LOG.of(item.path))
    spec = {"low": low_value, "high": high_value, "log": log}
    if points_column:
        spec["points"] = int(
            points_column[0].number_input("Grid points", 1, MAX_CHOICES, POINTS, key=Key.POINTS.of(item.path))
        )
    return spec


def _watch_sweep(live: Live) -> None:
    rows = live.store.sweeps(live.id)
    if not rows:
        st.markdown("### No sweeps yet")
        st.caption("Select parameters and start a sweep. Each trial is a run; results appear here.")
        return
    by_id = {row.id: row for row in rows}
    ids = list(by_id)
    state = RunsState.current()
    index = ids.index(state.sweep) if state.sweep in by_id else 0
    labels = unique_labels(
        {
            key: f"{sweep.title[:60]} · {STATES[sweep.state].lower()} · {at(sweep.created_at)}"
            for key, sweep in by_id.items()
        }
    )
    chosen = st.selectbox(
        "Sweep",
        ids,
        index,
        format_func=labels.__getitem__,
        key=Key.SWEEP.of(len(ids), ids[index], by_id[ids[index]].state),
    )
    state.sweep = chosen
    going = _goes_on(live.store, by_id[chosen], live.store.trials(chosen))
    st.fragment(_watch, run_every=REFRESH_S if going else None)(live, chosen, going)


@guard()
def _watch(live: Live, sweep_id: str, going: bool) -> None:
    """Draw the current state of a sweep; the fragment is rerun while it is active."""
    sweep, trials = live.store.sweep(sweep_id), live.store.trials(sweep_id)
    if going != _goes_on(live.store, sweep, trials):
        st.rerun()
    _controls(live, sweep)
    ended = sum(trial.state != "running" for trial in trials)
    pruned, failed = (sum(trial.state == state for trial in trials) for state in ("pruned", "failed"))
    extra = f" · {pruned} pruned" * bool(pruned) + f" · {failed} failed" * bool(failed)
    st.progress(min(1.0, ended / max(1, sweep.plan["trials"])), f"{ended} of {sweep.plan['trials']} trials{extra}")
    if sweeps.kind_of(sweep.plan).is_search:
        _best(live, sweep, trials)
    else:
        _spreads(live, sweep, trials)
    if trials:
        _charts(sweep, trials)
        _rows(live.store, sweep, trials)


def _goes_on(store: Store, sweep: Sweep, trials: list[Trial]) -> bool:
    """Return whether the sweep may still change: it is running, or its last trials are still stopping."""
    left = {trial.run_id for trial in trials if trial.state == "running"}
    return sweep.state == "running" or (bool(left) and any(run.id in left for run in store.active_runs()))


def _resume(store: Store, sweep_id: str, more: int = 0) -> None:
    try:
        sweeps.resume(store, sweep_id, more=more, owner=identity.owner())
    except StoreError as error:
        st.toast(escape(str(error)), icon=":material/error:")


def _controls(live: Live, sweep: Sweep) -> None:
    first_column, second_column, _ = st.columns(3)
    store = live.store
    if sweep.state == "running":
        first_column.button(
            "Stop",
            icon=":material/stop:",
            key=Key.STOP_SWEEP,
            width="stretch",
            on_click=sweeps.stop,
            args=(store, sweep.id),
        )
    elif sweep.state == "stopped":
        first_column.button(
            "Resume sweep",
            icon=":material/play_arrow:",
            key=Key.GO_ON,
            width="stretch",
            on_click=_resume,
            args=(store, sweep.id),
        )
    elif sweeps.kind_of(sweep.plan).is_search:
        count = min(10, sweeps.remaining_trials(sweep))
        more: dict[str, Any] = {"on_click": _resume, "args": (store, sweep.id), "kwargs": {"more": count}}
        title = f"{count} more trials" if count else "All grid combinations were tried"
        first_column.button(
            title, icon=":material/add:", key=Key.MORE_TRIALS, width="stretch", disabled=not count, **more
        )
    else:
        second_column = first_column  # folds and seeds cannot be extended
    if sweep.state != "running" and second_column.button(
        "Delete",
        icon=":material/delete:",
        key=Key.SWEEP_DELETE,
        width="stretch",
        help="Runs of the sweep are not deleted",
    ):
        store.delete_sweep(sweep.id)
        st.rerun(scope="app")


def _best(live: Live, sweep: Sweep, trials: list[Trial]) -> None:
    trial = sweeps.best(sweep, trials)
    if trial is None:
        return
    values = " · ".join(
        f"{escape(setting_title(path))} **{escape(setting_value(path, shown(value)))}**"
        for path, value in trial.assigned.items()
    )
    measure, value = measured(sweep.plan["metric"], float(trial.value or 0.0))
    st.markdown(f"Best so far: {escape(measure)} **{escape(value)}** (trial {trial.number + 1}) · {values}")
    if st.button("Apply best", icon=":material/check:", key=Key.USE_BEST, type="primary"):
        try:
            problems = live.apply(sweeps.best_edit(sweep, live.project, trial, live.store.home))
        except (DataError, SpaceError, EditError) as error:
            problems = [str(error)]
        if problems:
            show_error(" ".join(problems))
        else:
            st.toast("The project now has these values. Undo them on the Design page.")


def _spreads(live: Live, sweep: Sweep, trials: list[Trial]) -> None:
    intervals = of_sweep(live.store, sweep)
    rows = []
    for item in intervals:
        written = formatter(measure_of(item.name))
        rows.append(
            {
                "Metric": called(item.name),
                "Mean": written(item.mean),
                "Std": "–" if math.isnan(item.deviation) else f"± {written(item.deviation)}",
                "95% CI of the mean": "–" if math.isnan(item.low) else f"{written(item.low)} to {written(item.high)}",
                "Runs": item.count,
            }
        )
    if rows:
        st.dataframe(rows, hide_index=True)
    if missing := sweeps.missing_results(sweep, trials):
        st.warning(missing)
    caveat = sweeps.kind_of(sweep.plan).caveat
    if caveat and rows:
        st.caption(caveat)


def _charts(sweep: Sweep, trials: list[Trial]) -> None:
    done = [trial for trial in trials if trial.value is not None]
    if not done:
        return
    figure = _history(sweep, done)
    st.plotly_chart(figure, width="stretch", config=FLAT, key=Key.HISTORY, alt=described(figure, "trials"))
    if not sweeps.kind_of(sweep.plan).is_search or len(done) < 2:
        return
    complete = tuple(trial.number for trial in trials if trial.state == "complete")
    shares = computed(SweepImportance(sweep.id, complete), IMPORTANCE_TEXT)
    if len(shares) > 1:  # a single parameter explains everything
        show_importance(shares, Key.IMPORTANCE)
    titled = unique_labels({path: setting_title(path) for path in sweep.plan["space"]})
    axes: dict[str, list[Any]] = {title: [trial.assigned.get(path) for trial in done] for path, title in titled.items()}
    axes = varied(axes)
    measure = heading(sweep.plan["metric"])
    axes[measure] = [trial.value for trial in done]
    if len(axes) > 1:
        parallel(axes, measure, Key.SWEEP_PARALLEL)


def _history(sweep: Sweep, done: list[Trial]) -> go.Figure:
    """Return a chart of the results of the trials, and of the best one so far."""
    import plotly.graph_objects as go

    pick = max if sweep.plan["direction"] == "maximize" else min
    figure = go.Figure()
    for state, color, symbol in (("complete", COLORS[0], "circle"), ("pruned", "#94a3b8", "x")):
        some = [trial for trial in done if trial.state == state]
        if some:
            marker = {"color": color, "symbol": symbol, "size": 8}
            across, along = [trial.number + 1 for trial in some], [trial.value for trial in some]
            figure.add_scatter(x=across, y=along, mode="markers", name=state, marker=marker)
    if sweeps.kind_of(sweep.plan).is_search:
        complete = [trial for trial in done if trial.state == "complete"]
        values = [float(trial.value or 0.0) for trial in complete]
        best = [pick(values[: count + 1]) for count in range(len(values))]
        line = {"color": COLORS[1], "shape": "hv", "width": 2}
        figure.add_scatter(x=[trial.number + 1 for trial in complete], y=best, mode="lines", name="best", line=line)
    figure.update_layout(
        height=280,
        margin=MARGIN,
        xaxis={"title": "Trial", "tickformat": "d", **({"dtick": 1} if len(done) <= 20 else {})},
        yaxis={"title": heading(sweep.plan["metric"]), "tickformat": ".3~g"},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.28, "yanchor": "top"},
    )
    return figure


def _rows(store: Store, sweep: Sweep, trials: list[Trial]) -> None:
    # The trials of a stopped sweep keep their state in case it is resumed, but their runs are stopped.
    still = set() if sweep.state == "running" else {trial.run_id for trial in trials if trial.state == "running"}
    still -= {run.id for run in store.active_runs()} if still else set()
    measure = heading(sweep.plan["metric"])
    titles = unique_labels({path: setting_title(path) for trial in trials for path in trial.assigned})
    rows = [
        {
            "Trial": trial.number + 1,
            measure: trial.value,
            "State": "stopped" if trial.run_id in still else trial.state,
            **{titles[path]: setting_value(path, shown(value)) for path, value in trial.assigned.items()},
            **({"Reason": trial.reason} if any(item.reason for item in trials) else {}),
        }
        for trial in reversed(trials)
    ]
    shown_rows = metric_table(rows, {measure: sweep.plan["metric"]})
    st.dataframe(shown_rows, hide_index=True, height=min(38 + 35 * len(rows), 320), placeholder="")
