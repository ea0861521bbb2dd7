"""The training form: the settings of the Train page, and the buttons that start a run."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from netloom import runs
from netloom.compile import CompileError
from netloom.core.text import size
from netloom.data import DataError, datasets
from netloom.document import Project
from netloom.document.optimizer_settings import OPTIMIZERS
from netloom.editing.live import Live
from netloom.store import StoreError
from netloom.tasks import task, tasks
from netloom.training import OBJECTIVES, StartError
from netloom.training.preflight import preflight_problems
from netloom.training.speed.device import has_gpu
from netloom.ui.components.backend_picker import workers
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.components.errors import show_error
from netloom.ui.components.expander import expander
from netloom.ui.components.forms import choose_data
from netloom.ui.components.settings import choose, field
from netloom.ui.components.words import count
from netloom.ui.data.augmentation import augmentation_note
from netloom.ui.data.caveats import data_caveats
from netloom.ui.data.preparation import preparation
from netloom.ui.shell import identity, session
from netloom.ui.shell.background import in_background
from netloom.ui.train.advanced_settings import advanced_settings
from netloom.ui.train.initialization import fits, start_from
from netloom.ui.train.loss_form import objective_settings
from netloom.ui.train.lr_finder import lr_finder
from netloom.ui.train.rl_form import rl_form
from netloom.ui.train.state import Key
from netloom.validation import Analysis

EVALUATE = "Compute the test metrics of these weights without training"


def training_form(live: Live, *, folded: bool) -> None:
    """Draw the settings of a run; while another one is active, they are folded to one line."""
    if not folded:
        _form(live)
        return
    with st.expander(f"Next run: {_summary(live)}", icon=":material/tune:", key=Key.NEXT_RUN.of(live.id)):
        _form(live)


def _summary(live: Live) -> str:
    training = live.project.training
    epochs = f"{training.epochs:,} epoch{'s' if training.epochs != 1 else ''}"
    return (
        f"{OPTIMIZERS[training.optimizer].title} · {epochs} · batch size {training.batch_size:,} · "
        f"learning rate {training.learning_rate:g}"
    )


def _form(live: Live) -> None:
    """Draw the card that is always in view, then what is set less often."""
    analysis = live.analysis()
    with st.container(border=True, key=Key.CARD):
        _main_settings(live)
        _start(live, analysis)
    _estimate(live, analysis)
    _data_and_task(live)
    rl_form(live)
    lr_finder(live)
    advanced_settings(live)


def _main_settings(live: Live) -> None:
    """Draw the settings that most runs change."""
    chosen = OPTIMIZERS[live.project.training.optimizer]
    text = f"{chosen.help}. Typical learning rate: {chosen.rate:g}"
    choose(live, "optimizer", {name: item.title for name, item in OPTIMIZERS.items()}, renews=True, help=text)
    epochs_column, batch_column = column_row(2, Key.MAIN_SETTINGS, OnPhone.PAIRS)
    with epochs_column:
        field(live, "epochs")
    with batch_column:
        field(live, "batch_size")
    field(live, "learning_rate", step=0.0005)


def _data_and_task(live: Live) -> None:
    """Draw the data, the objective with its settings, and the initial weights; open while the data is missing."""
    ready = bool(live.project.data.dataset) and not live.data_problem() and not _preflight_problems(live)
    infos = {info.name: info.title for info in datasets(live.store.home)}
    names = (infos.get(live.project.data.dataset, "no data"), task(live.project.training.objective).title)
    with st.container(gap="xsmall"):
        expander(
            "Data and objective",
            partial(_choose_data_and_task, live, ready=ready),
            key=Key.DATA.of(ready),
            icon=":material/database:",
            words=" · ".join(names),
            is_expanded=not ready,
        )


def _choose_data_and_task(live: Live, *, ready: bool) -> None:
    choose_data(live, "training/data")
    preparation(live)
    choose(live, "objective", {name: described.title for name, described in tasks().items()}, renews=True)
    objective_settings(live)
    start_from(live)
    if data := live.schema() if ready else None:
        acts = data.target.type.is_action
        note = "the agent learns from its own actions; the rows only show its observations." if acts else (
            "the test rows are never used for training.")  # fmt: skip
        st.caption(f"{data.rows:,} rows · {note}")
        augmentation_note(live)


def _estimate(live: Live, analysis: Analysis) -> None:
    """Draw what prevents a start, with fixes, and the cost of a run."""
    totals = analysis.totals
    problem = live.data_problem()
    if problem:
        show_error(problem)
    for issue in analysis.errors[:6]:
        show_error(issue.message)
        if issue.fix and st.button(issue.fix.title, key=Key.FIX.of(issue.code, issue.node, issue.port)):
            live.apply(issue.fix.edit)
            st.rerun()
    for sentence in _preflight_problems(live):
        show_error(sentence)
    data_caveats(live, "train")
    if not analysis.errors:
        st.caption(
            f"{totals.trainable:,} trainable parameters · {count(totals.flops)} FLOPs per example · "
            f"about {size(totals.memory_bytes)} training memory"
        )


def _preflight_problems(live: Live) -> list[str]:
    """Return the settings that do not match the objective, the data or the device, as sentences."""
    training = live.project.training
    objective = OBJECTIVES.get(training.objective)
    if objective is None or objective.task.environment or live.data_problem():
        return []
    device = "cuda" if training.device == "cuda" or (training.device == "auto" and has_gpu()) else "cpu"
    nodes = live.project.main_network.nodes
    layer_prefixes = [f"{path}." for path in training.layer_lr_multipliers if path.partition(".")[0] in nodes]
    schema = live.schema()
    described = objective.described(training, schema) if schema is not None else objective
    # Without any name, the check would skip the layers instead of reporting those that are missing.
    return preflight_problems(training, described, schema, layer_prefixes or ["none"], device)


def _start(live: Live, analysis: Analysis) -> None:
    data = bool(live.project.data.dataset) and not live.data_problem()
    ready = fits(live, analysis) and not analysis.errors and data and not _preflight_problems(live)
    widget: dict[str, Any] = {"width": "stretch", "disabled": not ready}
    if st.button("Start training", type="primary", icon=":material/play_arrow:", **widget):
        _begin(live, live.project)
    if live.project.training.initial_weights and st.button(
        "Evaluate only", icon=":material/speed:", help=EVALUATE, **widget
    ):
        training = live.project.training.model_copy(update={"epochs": 0})
        _begin(live, live.project.model_copy(update={"training": training}))
    if not live.project.data.dataset:
        st.info("Select data below first.")


def _begin(live: Live, project: Project) -> None:
    try:
        start = partial(runs.start, live.store, live.id, project, workers=workers(), owner=identity.owner())
        run_id = in_background(start, "Starting …")
    except (CompileError, DataError, StoreError, StartError, OSError) as error:
        show_error(error)
    else:
        session.choose(live.id, run_id)
        st.rerun()
