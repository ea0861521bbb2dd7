"""The choice of a trained run and of its weights, on the pages that use one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.compression import registry
from netloom.compression.variant_files import measured_variants
from netloom.core.text import escape
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.runs import ACTIVE
from netloom.runs.history.comparison import best_finished
from netloom.store import Run
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.components.words import at, unique_labels
from netloom.ui.shell import session
from netloom.ui.shell.run_refresh import follow_runs
from netloom.ui.shell.state import Key, Query, TabState

CHECKPOINTS = {"best": "Best", "last": "Last"}
RUN_HELP = "The page opens the run that you chose on another page, or else the finished run with the best metric."
UNKNOWN_RUN = (
    "The link names a run that this page cannot show: it does not exist in this project, was deleted, or does not have "
    "weights yet."
)
VARIANT_HELP = (
    "Variants are the ONNX files of the last measurement under Deploy, Optimize. ONNX Runtime computes their "
    "predictions; explanations use the same weights in PyTorch where that is possible. The calibration of the run is "
    "applied only if the outputs are equal."
)
STYLE = """<style>
.st-key-run-controls { justify-content: flex-start; }
.st-key-run-controls > :has(.stSelectbox) { flex: 1 1 16rem; max-width: 30rem; }
/* As high as a selectbox, so that the labels above them are in a line. */
.st-key-run-controls .stButtonGroup [role=radiogroup] button { min-height: 2.5rem; }
@media (max-width: 640px) {
  .st-key-run-header h2 { font-size: 1.15rem; padding: 0; }
  .st-key-run-header [role=radiogroup] { flex-wrap: wrap; }
}
</style>"""


def page_head(live: Live, purpose: str, parts: Mapping[str, str], key: str) -> tuple[list[Run], str] | None:
    """Draw the head of a page for trained runs: the name of the project and the choice of a part of the page.

    Args:
        purpose: What a person wants to do with a run, as in "try it".
        parts: The labels of the parts by name; the first one is the default.
        key: The key of the choice.

    Returns:
        The runs with weights and the chosen part; None without a run, where the page leads to Train instead.
    """
    runs = followed_runs(live)
    if not runs:
        train_first(live, purpose)
        return None
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key=Key.RUN_HEADER):
        st.header(escape(live.project.name), width="content", anchor=False)
        part = st.segmented_control(
            "Part",
            list(parts),
            default=next(iter(parts)),
            format_func=parts.__getitem__,
            required=True,
            key=key,
            label_visibility="collapsed",
        )
    warn_of_unknown_run({run.id for run in runs})
    return runs, str(part)


def train_first(live: Live, purpose: str) -> None:
    """Draw what a page for trained runs shows of a project without one: its name, and the way to Train.

    Args:
        purpose: What a person wants to do with a run, as in "try it".
    """
    st.header(escape(live.project.name))
    if any(run.state in ACTIVE for run in live.store.runs(live.id)):
        st.info(f"A run of this project is in progress. You can {purpose} here as soon as the run has saved weights.")
    else:
        st.info(f"This project does not have a trained run yet. Train the network first, then {purpose} here.")
    if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
        st.switch_page("pages/train.py")


def is_unknown_run(run_ids: Collection[str]) -> bool:
    """Return whether the address names a run that is not among `run_ids`, and a user has not chosen a run since."""
    linked = Query.RUN.get()
    return bool(linked) and linked not in run_ids and session.chosen_run() == linked


def warn_of_unknown_run(run_ids: Collection[str]) -> None:
    """Draw a warning if the address names a run that is not among `run_ids`, the runs that the page can show."""
    if is_unknown_run(run_ids):
        st.warning(UNKNOWN_RUN)


def controls() -> DeltaGenerator:
    """Return the container of the choices of a run, which `page_head` styles."""
    return st.container(horizontal=True, vertical_alignment="bottom", key=Key.RUN_CONTROLS)


def runs_with_weights(live: Live) -> list[Run]:
    """Return the runs of a project that have weights, the newest first."""
    return [run for run in live.store.runs(live.id) if written_at(live, run.id)]


def followed_runs(live: Live) -> list[Run]:
    """Return the runs of a project that have weights, the newest first, and rerun the page when their list or the state
    of an active one changes."""
    runs = live.store.runs(live.id)
    follow_runs(live, runs)
    return [run for run in runs if written_at(live, run.id)]


def written_at(live: Live, run_id: str) -> float:
    """Return when the weights of a run were written, in seconds since 1970; 0 if there are none."""
    return live.store.artifacts(run_id).weights_written_at()


def choose_run(live: Live, runs: Sequence[Run]) -> str:
    """Draw the choice of the run that the pages of this tab show, and return its id."""
    by_id = {run.id: run for run in runs}
    best = best_finished(runs)
    chosen = session.chosen_run()
    shown = chosen if chosen in by_id else (best or runs[0]).id
    labels = run_labels(runs)
    run_id = st.selectbox(
        "Run", list(by_id), index=list(by_id).index(shown), format_func=labels.__getitem__, help=RUN_HELP
    )
    if run_id != shown or not is_unknown_run(by_id):
        session.choose(live.id, run_id)
    return str(run_id)


def run_labels(runs: Sequence[Run]) -> dict[str, str]:
    """Return a unique label for each run, by its id."""
    best = best_finished(runs)
    return unique_labels({run.id: _name(run, is_best=run is best and len(runs) > 1) for run in runs})


def choose_checkpoint(live: Live, run_id: str) -> str:
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


def choose_weights(live: Live, run_id: str) -> RunWeights:
    """Draw the choices of the weights of a run and of a measured variant of them, and return both."""
    weights = RunWeights(run_id, choose_checkpoint(live, run_id), written_at(live, run_id))
    return chosen_variant(live, weights) or weights


def chosen_variant(live: Live, weights: RunWeights) -> RunWeights | None:
    """Draw the choice between a run and the measured variants of its weights; return the variant, or None for the
    run."""
    method, file = choose_variant(live, weights)
    return None if file is None else replace(weights, variant=method, variant_written=file.stat().st_ctime_ns)


def choose_variant(live: Live, weights: RunWeights) -> tuple[str, Path | None]:
    """Draw the choice between a run and the measured variants of its weights, if there are any, and remember it for
    the other pages. Returns the method and the file of a variant, or "" and None for the run."""
    artifacts = live.store.artifacts(weights.run_id)
    files = measured_variants(artifacts, weights.checkpoint, weights.written)
    if not files:
        return "", None
    chosen, names, key = (
        TabState.current().variants.get(weights.run_id, ""),
        ["", *files],
        Key.NETWORK.of(weights.run_id),
    )
    set_value(key, chosen if chosen in names else "")
    method = str(
        st.selectbox(
            "Network",
            names,
            format_func=lambda name: registry()[name].title if name else "The run",
            key=key,
            on_change=partial(_choose_variant, weights.run_id, key),
            help=VARIANT_HELP,
        )
    )
    return method, files.get(method)


def _choose_variant(run_id: str, key: str) -> None:
    TabState.current().variants[run_id] = str(value_of(key))


def _name(run: Run, *, is_best: bool) -> str:
    return f"{run.title[:60]} · {run.state} · {at(run.created_at)}{' · best' if is_best else ''}"
