"""The monitor of a run: its state, its controls, and its results."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from netloom import runs, training
from netloom.core.text import between, escape, number, size
from netloom.document import Training
from netloom.editing.live import Live
from netloom.runs.history.comparison import document
from netloom.runs.resources import capacity
from netloom.store import Run, StoreError
from netloom.store.run_summary import RunSummary
from netloom.ui.components.curves.curve import sparkline
from netloom.ui.components.errors import guard, show_error
from netloom.ui.components.words import count
from netloom.ui.shell import identity, session
from netloom.ui.shell.run_links import RUN_PAGES, run_link
from netloom.ui.train import run_actions
from netloom.ui.train.alerts import alerts
from netloom.ui.train.run_tabs import run_tabs, task_of
from netloom.ui.train.state import Key, RunRefusal, TrainState

STATES = {
    "waiting": (":material/hourglass_top:", "Queued"),
    "queued": (":material/hourglass_top:", "Starting"),
    "running": (":material/play_circle:", "Training"),
    "paused": (":material/pause_circle:", "Paused"),
    "stopping": (":material/stop_circle:", "Stopping"),
    "finished": (":material/check_circle:", "Finished"),
    "stopped": (":material/stop_circle:", "Stopped"),
    "failed": (":material/error:", "Failed"),
}

RETURN = "Best return"
BEST_LOSS = {"validation": "Best validation loss", "train": "Best training loss"}
CELLS = "display:grid;grid-template-columns:repeat(auto-fill,minmax(8.6rem,1fr));gap:.5rem 1rem;font-size:.85rem"
NAME = "opacity:.65;font-size:.75rem;white-space:nowrap;height:1.2rem;display:flex;gap:.5rem;align-items:center"
VALUE = "font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap;overflow:hidden;text-overflow:ellipsis"


@guard()
def run_monitor(live: Live, run_id: str, ended: str) -> None:
    """Draw the current state of a run; the fragment is rerun while the run is active.

    `ended` is the state for which the surrounding page was drawn; "" for an active run.
    """
    run = runs.refresh(live.store, run_id)
    active = run.state in runs.ACTIVE
    if ended != ("" if active else run.state):
        st.rerun()  # the whole page, which shows the results and stops or starts polling
    with st.container():  # one container for changing elements, so that the curves below keep their position
        _above(live, run, active)
    run_tabs(live, run, active)


def _above(live: Live, run: Run, active: bool) -> None:
    """Draw the part above the curves: the state, the controls, the progress, and the warnings."""
    icon, word = STATES[run.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=Key.STATUS):
        st.header(f"{icon} {word}", anchor=False, width="content")
        # As many beside each other as fit
        with st.container(horizontal=True, horizontal_alignment="right", gap="xsmall", key=Key.CONTROLS):
            _controls(live, run)
    if run.state == "failed":
        show_error(run.reason)
    for problem in (live.problem, "" if active else _refusal(run.id)):
        if problem:
            show_error(problem)
    done = run.step / run.total_steps if run.total_steps else float(not active)
    st.progress(min(done, 1.0), _progress(run, live))
    _facts(run)
    failed = run.state == "failed"  # its reason already contains the error
    alerts(live, [warning for warning in run.summary.warnings if not (failed and warning.severity == "error")])


def _progress(run: Run, live: Live) -> str:
    if run.state == "waiting":
        return escape(
            f"Queued, {capacity.queue_position(live.store, run)}. {capacity.waiting_sentence(live.store, run)}"
        )
    if run.state == "queued":
        return "The worker is starting"
    if not run.total_steps and run.state == "finished":
        return "Evaluation only: the weights are unchanged"
    left = ""
    if run.state == "stopping" or (run.state == "running" and 0 < run.total_steps <= run.step):
        left = " · evaluating"
    elif run.state == "running":
        rate = run.summary.rate
        left = (f" · learning rate {rate:.3g}" if rate is not None else "") + _left(run.summary)
    return f"Epoch {run.epoch} · step {run.step:,} of {run.total_steps:,}{left}"


def _left(facts: RunSummary) -> str:
    """Return the estimated remaining time as a range, by the recent variation of the speed; "" if unknown."""
    seconds = facts.eta_s
    if seconds is None:
        return ""
    low, high = facts.eta_range_s or (seconds, seconds)
    return f" · {between(low, high)} left"


def _controls(live: Live, run: Run) -> None:
    """Draw the controls of a run. They are callbacks, so that a click counts even during a rerun of the page."""
    store = live.store
    arguments: dict[str, Any] = {"args": (store, run.id)}
    if run.state in ("running", "queued"):
        st.button("Pause", icon=":material/pause:", key=Key.PAUSE, on_click=runs.pause, **arguments)
    elif run.state == "paused":
        st.button("Resume", icon=":material/play_arrow:", key=Key.CONTINUE, on_click=runs.resume_paused, **arguments)
    if run.state in ("waiting", "running", "queued", "paused"):
        st.button("Stop", icon=":material/stop:", key=Key.STOP, on_click=runs.stop, **arguments)
        if run.state != "waiting":
            text = "Change the learning rate or its schedule"
            with st.popover("Learning rate", icon=":material/speed:", help=text, key=Key.RATE):
                _change_rate(live, run)
    elif run.state != "stopping":
        for target in RUN_PAGES if _has_predictions(run) else ():
            run_link(target, live.id, run.id, "train")
        _further(live, run)
        # With a key: the popover of the learning rate was here and may be open; a click in it must not reach this one.
        with st.popover("Delete", icon=":material/delete:", key=Key.DELETE):
            if run_actions.delete(store, run):
                session.choose(live.id)
                st.rerun(scope="app")


def _has_predictions(run: Run) -> bool:
    return run.state != "failed" and bool(run.summary.test)


def _further(live: Live, run: Run) -> None:
    """Draw the button that resumes or extends a run that has ended."""
    if run.state in ("failed", "stopped"):
        text = "Continue from the last checkpoint"
        again: dict[str, Any] = {"on_click": _resume, "args": (live, run.id), "help": text}
        st.button("Resume", icon=":material/replay:", key=Key.RESUME, **again)
    elif run.total_steps:
        with st.popover("Extend", icon=":material/update:", help="Train for more epochs"):
            run_actions.extend(live.store, run)


def _resume(live: Live, run_id: str) -> None:
    state = TrainState.current()
    state.refusal = RunRefusal()
    try:
        runs.resume(live.store, run_id, owner=identity.owner())
    except (ValueError, StoreError, OSError) as error:
        state.refusal = RunRefusal(run_id, str(error))


def _refusal(run_id: str) -> str:
    """Return the error of this tab's last attempt to resume the run; "" if there was none."""
    refusal = TrainState.current().refusal
    return refusal.sentence if refusal.run_id == run_id else ""


def _change_rate(live: Live, run: Run) -> None:
    schedules = training.SCHEDULES
    current_schedule = run.summary.schedule or getattr(document(live.store, run.id), "training", Training()).schedule
    names = list(schedules)
    schedule = st.selectbox(
        "LR schedule",
        names,
        names.index(current_schedule),
        lambda name: schedules[name].title,
        key=Key.SCHEDULE.of(run.id, current_schedule),
    )
    if schedule != current_schedule and st.button("Apply schedule", key=Key.SCHEDULE_SET.of(run.id)):
        runs.set_schedule(live.store, run.id, schedule)
        st.toast(f"Schedule set to {schedules[schedule].title.lower()} from the next step.")
    typed = st.text_input("New learning rate", placeholder="0.0005", key=Key.RATE.of(run.id))
    if st.button("Apply", key=Key.RATE_SET.of(run.id)) and typed:
        try:
            runs.set_learning_rate(live.store, run.id, float(typed))
            st.toast(f"Learning rate set to {float(typed):g} from the next step.")
        except ValueError:
            # A toast, because the next refresh would remove an element of the page.
            message = f"The learning rate must be a number above 0 and at most 10; received {escape(typed[:30])}."
            st.toast(message, icon=":material/error:")


def _facts(run: Run) -> None:
    facts = run.summary
    if not facts.is_reported:
        return
    acts = task_of(run).environment
    values = [("Device", facts.device.upper())]
    if run.state == "running" and facts.steps_per_s:
        unit = "steps" if acts else "examples"
        values.append(("Throughput", f"{count(facts.steps_per_s * facts.rows_per_step)} {unit}/s"))
    if run.state in runs.ACTIVE and facts.cpu_share is not None:
        values.append(("CPU", f"{facts.cpu_share:.0%}"))
        values.append(("Memory", size(facts.memory_bytes or 0)))
        if facts.gpu_memory_bytes is not None:
            values.append(("GPU memory", size(facts.gpu_memory_bytes)))
    if facts.best is not None and facts.best.loss is not None:
        epoch = f" (epoch {facts.best.epoch + 1})" if run.total_steps else ""
        value = facts.best.loss
        name = _best_of(run, facts.best.measure)
        # The loss of an agent is its negative return.
        values.append((name, f"{number(-value if name == RETURN else value)}{epoch}"))
    if facts.learning_rate and run.total_steps:
        values.append(("Base learning rate", f"{facts.learning_rate:g}"))
    for sentence in facts.notes:  # on the execution, such as whether the network was compiled
        st.caption(escape(sentence))
    drawn = (
        sparkline(facts.speeds, "Throughput over time") if run.state in runs.ACTIVE and len(facts.speeds) > 2 else ""
    )
    st.html(_cells(values, {"Throughput": drawn}))


def _best_of(run: Run, measure: str) -> str:
    """Return the title of the best value."""
    objective = task_of(run)
    if measure == "loss":
        if objective.environment:
            return RETURN
        if not objective.alternating:
            return BEST_LOSS[run.summary.monitored_split]
    title = (run.summary.titles or objective.metrics).get(measure, measure)
    return f"Best {title}"


def _cells(values: Sequence[tuple[str, str]], beside: Mapping[str, str]) -> str:
    """Return facts as an HTML grid with fixed cells, so that changing numbers do not move others.

    `beside` has images to draw beside the names.
    """
    cells = [
        f'<div><div style="{NAME}">{html.escape(name)} {beside.get(name, "")}</div>'
        f'<div style="{VALUE}">{html.escape(value)}</div></div>'
        for name, value in values
    ]
    return f'<div style="{CELLS}">{"".join(cells)}</div>'
