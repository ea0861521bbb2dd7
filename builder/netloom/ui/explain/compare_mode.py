"""The choice of the Compare mode: another method, another checkpoint, or another run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from netloom.compression import registry
from netloom.jobs import RunWeights
from netloom.runs.history.weight_history import saved_weights
from netloom.store import RunArtifacts
from netloom.ui.components.page_state import set_value, value_of
from netloom.ui.components.words import at, unique_labels
from netloom.ui.explain.method_menu import unsuited
from netloom.ui.explain.state import CompareWith, ExplainState, Key
from netloom.ui.explain.view import MethodUse, View, ViewContext

TITLES = {
    CompareWith.NONE: "Nothing",
    CompareWith.METHOD: "Another method",
    CompareWith.CHECKPOINT: "Another checkpoint",
    CompareWith.RUN: "Another run",
}
ALL_CHECKPOINTS = ""
# Views whose comparison draws both explanations on one scale with their agreement; of others, both sides are drawn.
ON_ONE_SCALE = (MethodUse.INPUT, MethodUse.LAYERS)


@dataclass(frozen=True)
class OtherSide:
    """The second side of a comparison: the name of a method, a checkpoint ("" for all of them) or a run, and the titles
    of both sides."""

    kind: CompareWith
    name: str
    titles: tuple[str, str]


def choose_other_side(view: View, context: ViewContext) -> OtherSide | None:
    """Draw the choice of the second side; return None if nothing is compared, or there is nothing to choose."""
    state = ExplainState.current()
    if not view.compares:
        return None
    sides = {
        CompareWith.METHOD: {
            method.name: method.title
            for method in context.methods
            if method.name != context.method and not unsuited(view, method)
        },
        CompareWith.CHECKPOINT: _checkpoints(view, context),
        CompareWith.RUN: _runs(context),
    }
    listed = [CompareWith.NONE, *view.compares]
    key = Key.COMPARE_WITH.of(view.name)
    set_value(key, state.compare_with)  # links set it as well
    st.selectbox("Compare with", listed, format_func=TITLES.__getitem__, key=key, on_change=_choose, args=(key,))
    chosen = state.compare_with
    if chosen is CompareWith.NONE:
        return None
    names = sides[chosen]
    if not names:
        st.caption(_nothing(chosen, context))
        return None
    labels = {
        CompareWith.METHOD: "Second method",
        CompareWith.CHECKPOINT: "Second checkpoint",
        CompareWith.RUN: "Second run",
    }
    keys = {
        CompareWith.METHOD: Key.COMPARE_METHOD.of(view.name, context.method),
        CompareWith.CHECKPOINT: Key.COMPARE_CHECKPOINT.of(view.name),
        CompareWith.RUN: Key.COMPARE_RUN.of(view.name),
    }
    name = str(st.selectbox(labels[chosen], list(names), format_func=names.__getitem__, key=keys[chosen]))
    return OtherSide(chosen, name, (_first_title(chosen, context), names[name]))


def other_weights(context: ViewContext, other_side: OtherSide) -> RunWeights:
    """Return the weights of the second side."""
    if other_side.kind is CompareWith.CHECKPOINT:
        return replace(context.weights, checkpoint=other_side.name, variant="", variant_written=0)
    if other_side.kind is CompareWith.RUN:
        written = context.live.store.artifacts(other_side.name).weights_written_at()
        return RunWeights(other_side.name, "", written)
    return context.weights


def _choose(key: str) -> None:
    ExplainState.current().compare_with = CompareWith(value_of(key))


def _first_title(kind: CompareWith, context: ViewContext) -> str:
    if kind is CompareWith.METHOD:
        return next(method.title for method in context.methods if method.name == context.method)
    if context.weights.variant:
        return registry()[context.weights.variant].title
    if kind is CompareWith.CHECKPOINT:
        return f"{context.weights.checkpoint.capitalize()} weights"
    return context.trained.run.title[:60]


def _checkpoints(view: View, context: ViewContext) -> dict[str, str]:
    if context.weights.variant:
        return {}
    saved = saved_weights(RunArtifacts.in_directory(context.folder))
    if len(saved) < 2:
        return {}
    every = {ALL_CHECKPOINTS: "All checkpoints"} if view.method_use in ON_ONE_SCALE else {}
    return every | {moment.name: moment.label for moment in saved if moment.name != context.weights.checkpoint}


def _runs(context: ViewContext) -> dict[str, str]:
    store = context.live.store
    # A variant is compared with its run, too.
    listed = store.runs(context.live.id)
    other_runs = (run for run in listed if run.id != context.trained.run.id or context.weights.variant)
    runs = [run for run in other_runs if store.artifacts(run.id).stored_weights()]
    return unique_labels({run.id: f"{run.title[:60]} · {at(run.created_at)}" for run in runs})


def _nothing(kind: CompareWith, context: ViewContext) -> str:
    if kind is CompareWith.CHECKPOINT and context.weights.variant:
        return "A variant does not have checkpoints. Compare it with its run, or choose the run under Network."
    return {
        CompareWith.METHOD: "No other method supports this network in this view.",
        CompareWith.CHECKPOINT: (
            "This run has only one checkpoint, so there is nothing to compare. Train for two epochs or more; "
            "checkpoints are then kept during training."
        ),
        CompareWith.RUN: "This project has no other run with weights. Train a second one to compare both.",
    }[kind]
