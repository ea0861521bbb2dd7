"""A run as it goes on: its state, what can be asked of it, and its curves."""

from __future__ import annotations

from typing import Any

import streamlit as st

from builder import train
from builder.store import Points, Run, StoreError
from builder.text import duration, size
from builder.ui import session
from builder.ui.charts import curve_chart, curves
from builder.ui.live import Live
from builder.ui.trouble import guard
from builder.ui.words import count

STATES = {
    "queued": (":material/hourglass_top:", "Starting"),
    "running": (":material/play_circle:", "Training"),
    "paused": (":material/pause_circle:", "Paused"),
    "stopping": (":material/stop_circle:", "Stopping"),
    "finished": (":material/check_circle:", "Finished"),
    "stopped": (":material/stop_circle:", "Stopped"),
    "failed": (":material/error:", "Failed"),
}


@guard()
def watch(live: Live, run_id: str, active: bool) -> None:
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
