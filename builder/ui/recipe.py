"""How to train: the settings of the train page, and the buttons that start a run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from builder import train
from builder.check import Analysis
from builder.compile import CompileError
from builder.data import DataError
from builder.graph import Project, Training
from builder.layers import form
from builder.store import StoreError
from builder.text import size
from builder.ui import session
from builder.ui.forms import bound, choose_data, refused
from builder.ui.live import Live
from builder.ui.starting import fits, start_from
from builder.ui.words import count

EVALUATE = "Measure the weights as they are on the test rows, without training"
DEVICES = {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"}


def recipe(live: Live) -> None:
    """Everything that is chosen before a run, and what it will cost."""
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
