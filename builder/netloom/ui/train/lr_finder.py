"""The LR range test of the Train page, which runs in a worker; one click applies the suggested learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.editing.live import Live
from netloom.jobs import Job
from netloom.jobs.requests.learning_rate import LearningRateRangeTest
from netloom.runs.lr_finder import Rates, refusal
from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION, described
from netloom.ui.components.errors import guard
from netloom.ui.shell.jobs import ask
from netloom.ui.train.state import Key, TrainState

if TYPE_CHECKING:
    import plotly.graph_objects as go

REFRESH_S = 0.6
HELP = "A short run raises the learning rate step by step and records the loss. Your model does not change"


def lr_finder(live: Live) -> None:
    """Draw the button of the test, and its result."""
    with st.expander("LR range test", icon=":material/query_stats:", key=Key.LR_FINDER.of(live.id)):
        why = refusal(live.project)
        searches = TrainState.current().lr_searches
        ready = not why and not live.data_problem() and not live.analysis().errors
        if st.button(
            "Run LR range test", disabled=not ready, help=why or HELP, key=Key.LR_FIND.of(live.id), width="stretch"
        ):
            searches[live.id] = LearningRateRangeTest(live.project.model_dump(mode="json"))
        if search := searches.get(live.id):
            job = ask(search).job
            st.fragment(_rates, run_every=None if job.ended else REFRESH_S)(live, job, going=not job.ended)


@guard()
def _rates(live: Live, job: Job[Rates], *, going: bool) -> None:
    job.touch()  # a job without a watcher is cancelled
    if going and job.ended:
        st.rerun()  # the whole page, so that this fragment stops polling
    rates = job.result() if job.ended else job.preview or Rates()
    if rates.rates:
        chart = chart_of(rates)
        alt = described(chart, "LR range test")
        st.plotly_chart(chart, width="stretch", key=Key.LR_CHART.of(live.id), config={"displayModeBar": False}, alt=alt)
    if not rates.done:
        st.caption("Waiting for a free worker …" if job.state == "waiting" else "Testing learning rates …")
        return
    best = rates.suggested
    if best is None:
        st.caption("The loss does not decrease at any learning rate. Check the data, or try another network.")
    elif best == live.project.training.learning_rate:
        st.caption(f"The learning rate is already {best:g}, where the loss decreases fastest.")
    elif st.button(f"Apply {best:g}", key=Key.LR_USE.of(live.id), type="primary", width="stretch"):
        live.apply({"kind": "project", "training": {"learning_rate": best}})
        st.rerun(scope="app")


def chart_of(rates: Rates) -> go.Figure:
    """Return a chart of the loss by learning rate, with the rate of the fastest decrease."""
    import plotly.graph_objects as go

    smooth = rates.smooth
    figure = go.Figure()
    figure.add_scatter(
        x=rates.rates,
        y=rates.losses,
        mode="lines",
        name="batches",
        line={"color": TRAIN, "width": 1},
        opacity=0.3,
        hoverinfo="skip",
    )
    figure.add_scatter(x=rates.rates, y=smooth, mode="lines", name="smoothed", line={"color": TRAIN, "width": 2.2})
    best = rates.suggested if rates.done else None
    if best is not None:
        figure.add_vline(best, line_dash="dot", line_color=VALIDATION)
    # The losses before the minimum set the range of the axis; after it, the loss may diverge.
    low, high = min(smooth), max(smooth[: max(10, smooth.index(min(smooth)) + 1)])
    figure.update_layout(
        height=240,
        margin={**MARGIN, "t": 12},
        showlegend=False,
        xaxis={"title": "Learning rate", "type": "log", "exponentformat": "power", "dtick": 2},
        yaxis={"title": "Loss", "range": [low - 0.1 * (high - low), high + 0.5 * (high - low or 1.0)]},
        hovermode="x unified",
    )
    return figure
