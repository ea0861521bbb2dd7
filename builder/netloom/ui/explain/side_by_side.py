"""The Compare mode: a view drawn twice, or a comparison on one scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import escape
from netloom.jobs import RunWeights
from netloom.ui.components.column_row import OnPhone, column_row
from netloom.ui.explain.compare_mode import ALL_CHECKPOINTS, ON_ONE_SCALE, OtherSide, other_weights
from netloom.ui.explain.prediction import show_prediction
from netloom.ui.explain.state import CompareWith, Key
from netloom.ui.explain.view import View, ViewContext
from netloom.ui.explain.views.comparison import comparison_view
from netloom.ui.explain.views.training_trajectory import training_trajectory_view

if TYPE_CHECKING:
    from netloom.jobs.requests.inspection import Inspection
    from netloom.ui.explain.open_run import OpenRun

SECOND = "second "
OpenOther = Callable[[RunWeights], tuple["OpenRun", "Inspection"]]


def draw_comparison(view: View, context: ViewContext, other_side: OtherSide, open_run: OpenOther) -> None:
    """Draw a view beside its second side. Raises the errors of both."""
    if view.method_use in ON_ONE_SCALE:
        if other_side.kind is CompareWith.CHECKPOINT and other_side.name == ALL_CHECKPOINTS:
            training_trajectory_view(context)
            return
        comparison_view(context, other_side)
        return
    columns = column_row(2, Key.SIDES, OnPhone.SWIPED, "medium")
    second = _second_context(context, other_side, open_run)
    for column, side, title in zip(columns, (context, second), other_side.titles, strict=True):
        with column:
            st.markdown(f"**{escape(title)}**")
            head, body, details = st.container(), st.container(), st.container()
            places = replace(side.places, head=head, details=details, probabilities=details)
            drawn = replace(side, places=places)
            with body:
                reason = view.reason(side)
                if reason:
                    st.info(escape(reason), icon=":material/block:")
                    continue
                if view.shows_prediction:
                    show_prediction(drawn, drawn.answer.prediction, drawn.answer.example)
                view.draw(drawn)


def _second_context(context: ViewContext, other_side: OtherSide, open_run: OpenOther) -> ViewContext:
    if other_side.kind is CompareWith.METHOD:
        return replace(context, method=other_side.name, side=SECOND)
    weights = other_weights(context, other_side)
    trained, inspection = open_run(weights)
    folder = context.live.store.artifacts(weights.run_id).local_directory()
    return replace(context, trained=trained, weights=weights, inspection=inspection, folder=folder, why="", side=SECOND)
