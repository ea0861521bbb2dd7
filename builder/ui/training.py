"""The train page: how to train, what goes on, how it went."""

from __future__ import annotations

from typing import Any

import streamlit as st

from builder import train
from builder.check import Analysis
from builder.compile import CompileError
from builder.data import DataError
from builder.graph import Project, Training
from builder.layers import form
from builder.store import Points, Run, StoreError
from builder.text import duration, size
from builder.ui import session
from builder.ui.charts import curve_chart, curves, empty_chart
from builder.ui.forms import bound, choose_data, refused
from builder.ui.live import Live
from builder.ui.results import results
from builder.ui.starting import fits, start_from
from builder.ui.trouble import guard
from builder.ui.words import ago, count, plain

REFRESH_S = 0.8
STATES = {
    "queued": (":material/hourglass_top:", "Starting"),
    "running": (":material/play_circle:", "Training"),
    "paused": (":material/pause_circle:", "Paused"),
    "stopping": (":material/stop_circle:", "Stopping"),
    "finished": (":material/check_circle:", "Finished"),
    "stopped": (":material/stop_circle:", "Stopped"),
    "failed": (":material/error:", "Failed"),
}
EVALUATE = "Measure the weights as they are on the test rows, without training"
DEVICES = {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"}


def training(live: Live) -> None:
    """Everything on the train page."""
    train.warm(live.store)
    st.subheader(plain(live.project.name))
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        _settings(live)
    with right:
        _runs(live)


def _settings(live: Live) -> None:
    with st.container(border=True):
        choose_data(live, "training/data")
        _select(live, "objective", "Objective", {name: found.title for name, found in train.OBJECTIVES.items()})
        start_from(live)
        _select(live, "optimizer", "Optimizer", train.OPTIMIZERS)
        one, two = st.columns(2)
        with one:
            _whole(live, "epochs", "Epochs", "How often every example is seen; 0: measure the weights as they are")
        with two:
            _whole(live, "batch_size", "Batch size", "How many examples make one step")
        rate = "How far each step goes. Too high, and the loss jumps; too low, and it crawls"
        _real(live, "learning_rate", "Learning rate", rate, 1e-7, 10.0, 0.0005)
        with st.expander("More"):
            _select(live, "schedule", "Learning rate over time", train.SCHEDULES)
            _select(live, "device", "Device", DEVICES)
            _real(live, "weight_decay", "Weight decay", "Draws weights towards zero, against overfitting", 0.0, 1.0)
            clip = "The greatest length of a gradient; empty: no limit"
            _real(live, "gradient_clip", "Gradient clip", clip, 1e-6, 1e6)
            _whole(live, "early_stopping", "Early stopping", "Epochs without a better validation loss; empty: never")
            _whole(live, "seed", "Seed", "The same seed gives the same run")
    analysis = live.analysis()
    _estimate(live, analysis)
    _start(live, analysis)
    if live.project.data.dataset and not live.data_problem():
        data = live.schema()
        if data:
            st.caption(f"{data.rows:,} rows · the test rows are never trained on.")


def _estimate(live: Live, analysis: Analysis) -> None:
    totals = analysis.totals
    problem = live.data_problem()
    if problem:
        st.error(problem)
    for issue in analysis.errors[:6]:
        st.error(issue.message)
        if issue.fix and st.button(issue.fix.title, key=f"fix {issue.code} {issue.node} {issue.port}"):
            live.apply(issue.fix.edit)
            st.rerun()
    if not analysis.errors:
        st.caption(
            f"{totals.trainable:,} parameters to train · {count(totals.flops)} FLOPs per example · "
            f"about {size(totals.memory_bytes)} of memory"
        )


def _start(live: Live, analysis: Analysis) -> None:
    ready = fits(live, analysis) and not analysis.errors and bool(live.project.data.dataset)
    made: dict[str, Any] = {"width": "stretch", "disabled": not ready}
    if st.button("Start training", type="primary", icon=":material/play_arrow:", **made):
        _begin(live, live.project)
    if live.project.training.start and st.button("Evaluate only", icon=":material/speed:", help=EVALUATE, **made):
        training = live.project.training.model_copy(update={"epochs": 0})
        _begin(live, live.project.model_copy(update={"training": training}))
    if not live.project.data.dataset:
        st.info("Choose data first.")


def _begin(live: Live, project: Project) -> None:
    try:
        run_id = train.start(live.store, live.id, project)
    except (CompileError, DataError, StoreError, train.StartError, OSError) as error:
        st.error(str(error))
    else:
        session.choose(live.id, run_id)
        st.rerun()


def _runs(live: Live) -> None:
    rows = [
        train.refresh(live.store, run.id) if run.state in train.ACTIVE else run
        for run in live.store.runs(live.id, limit=200)
    ]
    if not rows:
        # An empty chart, so that the browser has loaded what draws the curves before there are any.
        st.markdown("#### No runs yet")
        st.caption("Press Start training: the curves appear here, and stay with the run whatever happens.")
        st.plotly_chart(empty_chart(), width="stretch", config={"displayModeBar": False})
        return
    ids = [run.id for run in rows]
    known = {run.id: run for run in rows}
    chosen = st.session_state.get("run") or st.query_params.get("run")
    if chosen not in known:
        chosen = ids[0]
    picked = st.selectbox(
        "Run",
        ids,
        index=ids.index(chosen),
        format_func=lambda key: _name(known[key]),
        key=f"runs {len(ids)} {chosen} {known[chosen].state}",
    )
    if picked != chosen:
        session.choose(live.id, picked)
        st.rerun()
    st.session_state["run"] = picked
    st.query_params["run"] = picked
    run = known[picked]
    active = run.state in train.ACTIVE
    st.fragment(_watch, run_every=REFRESH_S if active else None)(live, picked, active)
    if not active:
        results(live, run)


def _name(run: Run) -> str:
    return f"{run.title[:60]} · {STATES[run.state][1].lower()} · {ago(run.created_at)}"


@guard()
def _watch(live: Live, run_id: str, active: bool) -> None:
    """The run as it is now, drawn again and again while it goes on."""
    run = train.refresh(live.store, run_id)
    if active != (run.state in train.ACTIVE):
        st.rerun()  # the whole page: results come up and this stops looking, or begins again
    icon, word = STATES[run.state]
    head, controls = st.columns([1.5, 2], vertical_alignment="center")
    head.markdown(f"### {icon} {word}")
    with controls:
        _controls(live, run)
    if run.state == "failed":
        st.error(run.reason)
    for problem in (live.problem, _refusal(run_id)):
        if problem:
            st.error(problem)
    done = run.step / run.total_steps if run.total_steps else float(not active)
    st.progress(min(done, 1.0), _progress(run, live))
    _facts(run)
    if active or run.total_steps:  # where nothing was trained there are no curves
        _charts(live, run)


def _progress(run: Run, live: Live) -> str:
    if run.state == "queued":
        return "The worker is starting"
    if not run.total_steps and run.state == "finished":
        return "Nothing was trained: these are the weights as they were"
    eta = run.summary.get("eta_s")
    left = f" · {duration(eta)} left" if run.state == "running" and eta is not None else ""
    return f"Epoch {run.epoch} · step {run.step:,} of {run.total_steps:,}{left}"


def _controls(live: Live, run: Run) -> None:
    """What can be asked of a run. By callbacks: they count even where the page is just being drawn anew."""
    store = live.store
    one, two, three = st.columns(3)
    asked: dict[str, Any] = {"args": (store, run.id), "width": "stretch"}
    if run.state in ("running", "queued"):
        one.button("Pause", icon=":material/pause:", key="pause", on_click=train.pause, **asked)
    elif run.state == "paused":
        one.button("Continue", icon=":material/play_arrow:", key="continue", on_click=train.proceed, **asked)
    elif run.state in ("failed", "stopped"):
        text = "From the last checkpoint"
        again: dict[str, Any] = {"on_click": _resume, "args": (live, run.id), "width": "stretch", "help": text}
        one.button("Resume", icon=":material/replay:", key="resume", **again)
    if run.state in ("running", "queued", "paused"):
        two.button("Stop", icon=":material/stop:", key="stop", on_click=train.stop, **asked)
        with three.popover("Rate", icon=":material/speed:", help="Change the learning rate", width="stretch"):
            _change_rate(live, run)
    elif two.button(
        "Delete", icon=":material/delete:", width="stretch", key="delete", help="With its curves and weights"
    ):
        store.delete_run(run.id)
        session.choose(live.id)
        st.rerun(scope="app")


def _resume(live: Live, run_id: str) -> None:
    st.session_state.pop("not resumed", None)
    try:
        train.resume(live.store, run_id)
    except (ValueError, StoreError, OSError) as error:
        st.session_state["not resumed"] = (run_id, str(error))


def _refusal(run_id: str) -> str:
    """Why this tab's last attempt to resume the run failed, if it did."""
    refused_id, sentence = st.session_state.get("not resumed", ("", ""))
    return str(sentence) if refused_id == run_id else ""


def _change_rate(live: Live, run: Run) -> None:
    typed = st.text_input("New learning rate", placeholder="0.0005", key=f"rate {run.id}")
    if st.button("Set it", key=f"set rate {run.id}") and typed:
        try:
            train.set_learning_rate(live.store, run.id, float(typed))
        except ValueError:
            st.error(f"A learning rate is a number above 0 and at most 10, received {typed[:30]!r}.")


def _facts(run: Run) -> None:
    facts = run.summary
    if not facts:
        return
    rows_per_step = facts.get("rows_per_step", 0)
    values = [("Device", str(facts.get("device", "")).upper())]
    if run.state == "running" and facts.get("steps_per_s"):
        values.append(("Throughput", f"{count(facts['steps_per_s'] * rows_per_step)} examples/s"))
    if run.state in train.ACTIVE and "cpu_share" in facts:
        values.append(("CPU", f"{facts['cpu_share']:.0%}"))
        values.append(("Memory", size(facts["memory_bytes"])))
        if "gpu_memory_bytes" in facts:
            values.append(("GPU memory", size(facts["gpu_memory_bytes"])))
    if facts.get("best"):
        epoch = f" (epoch {facts['best']['epoch'] + 1})" if run.total_steps else ""
        values.append(("Best validation loss", f"{facts['best']['loss']:.4g}{epoch}"))
    if facts.get("learning_rate") and run.total_steps:
        values.append(("Learning rate", f"{facts['learning_rate']:g}"))
    st.caption(" · ".join(f"{name} **{value}**" for name, value in values))


def _charts(live: Live, run: Run) -> None:
    found = curves(_points(live, run))
    if not found:
        st.caption("The first points appear in a moment.")
        return
    objective = train.OBJECTIVES.get(run.summary.get("objective", ""), train.OBJECTIVES["classification"])
    per_epoch = run.summary.get("steps_per_epoch") or 1
    shown = [(name, title) for name, title in objective.metrics.items() if any(key[1] == name for key in found)]
    if not shown:
        shown = [("loss", objective.metrics["loss"])]
    for place, (column, (name, title)) in enumerate(zip(st.columns(min(len(shown), 2)) * 2, shown, strict=False)):
        chart = curve_chart(found, name, title, per_epoch)
        column.plotly_chart(chart, key=f"chart {run.id} {place}", width="stretch", config={"displayModeBar": False})


def _points(live: Live, run: Run) -> Points:
    """All points of a run; only new ones are read, but all of them after a resume, which may have taken some back."""
    key = (run.id, str(run.started_at))
    cached: tuple[Any, Points] | None = st.session_state.get("points")
    if cached is None or cached[0] != key:
        found = live.store.points(run.id)
    else:
        old, new = cached[1], live.store.points(run.id, cached[1].last)
        found = Points(
            old.step + new.step,
            old.epoch + new.epoch,
            old.split + new.split,
            old.name + new.name,
            old.value + new.value,
            old.at + new.at,
            new.last,
        )
    st.session_state["points"] = (key, found)
    return found


def _setting(live: Live, name: str, value: Any) -> dict[str, Any]:
    """What binds a widget to a field of the document's training section."""
    return bound(live, f"training/{name}", value, lambda new: {"kind": "project", "training": {name: new}})


def _select(live: Live, name: str, label: str, titles: dict[str, str]) -> None:
    value = getattr(live.project.training, name)
    options = list(titles)
    shown = value if value in titles else options[0]
    st.selectbox(label, options, options.index(shown), titles.__getitem__, **_setting(live, name, shown))


def _whole(live: Live, name: str, label: str, text: str) -> None:
    """A whole number within the bounds that the document declares; one that may be None may be left empty."""
    field = next(item for item in form(Training) if item.name == name)
    low, high = int(field.minimum or 0), None if field.maximum is None else int(field.maximum)
    value = getattr(live.project.training, name)
    setting = _setting(live, name, value)
    st.number_input(label, low, high, value, step=1, help=text, placeholder="empty", **setting)
    refused(setting)


def _real(live: Live, name: str, label: str, text: str, low: float, high: float, step: float | None = None) -> None:
    value = getattr(live.project.training, name)
    setting = _setting(live, name, value)
    st.number_input(label, low, high, value, step=step, format="%g", help=text, placeholder="empty", **setting)
    refused(setting)
