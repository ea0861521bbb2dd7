"""Thresholds from the validation rows: a curve of error against automation, and what they give on the test rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.chat import MAX_ERROR, Measured, ThresholdLimits, ThresholdReport
from netloom.core.errors import UsageError
from netloom.core.text import escape, number
from netloom.jobs.requests.chat import ProposeThresholds
from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION
from netloom.ui.components.errors import show_error
from netloom.ui.components.figure_export import chart
from netloom.ui.playground.chat.state import ChatState, Draft, Key, Proposed
from netloom.ui.playground.one_input import ERRORS, Tried
from netloom.ui.shell.jobs import computed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 380
FIGURES: Mapping[str, Callable[[Measured], tuple[float | None, tuple[float, float] | None]]] = {
    "Automation": lambda part: (part.automation, part.automation_interval),
    "Error": lambda part: (part.error, part.error_interval),
    "In-scope accuracy": lambda part: (part.in_scope_accuracy, part.in_scope_interval),
    "Out-of-scope recall": lambda part: (part.out_of_scope_recall, part.out_of_scope_interval),
}
SYMBOLS = {"validation": "circle", "test": "diamond"}
MEANT = (
    "Automation: the share of messages whose intent the bot accepts without asking back. Error: the share of these "
    "whose intent is wrong. In-scope accuracy: the share of messages in scope whose intent is accepted and right. "
    "Out-of-scope recall: the share of messages out of scope that are not accepted."
)


def thresholds(tried: Tried, draft: Draft) -> None:
    """Draw the limits, the button that proposes thresholds, and the last proposal."""
    outside = draft.used.fallback.out_of_scope
    with st.container(border=True):
        st.markdown("**Thresholds from data**", help=MEANT)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            error = st.number_input(
                "Maximum error (%)",
                0.0,
                99.0,
                100 * MAX_ERROR,
                1.0,
                key=Key.LIMIT.of(tried.run_id, "error"),
                help="Of the validation messages that the bot accepts, at most this share is wrong.",
            )
            recall = 0.0
            if outside:
                recall = st.number_input(
                    "Minimum out-of-scope recall (%)",
                    0.0,
                    100.0,
                    0.0,
                    5.0,
                    key=Key.LIMIT.of(tried.run_id, "recall"),
                    help="Of the validation messages out of scope, at least this share is not accepted. 0: no limit.",
                )
            is_clicked = st.button("Propose thresholds", icon=":material/tune:", key=Key.PROPOSE)
        if is_clicked:
            _propose(tried, draft, ThresholdLimits(error / 100, recall / 100 or None))
        proposed = ChatState.current().proposed.get(tried.weights)
        if proposed is None:
            st.caption("The thresholds are chosen on the validation rows, and then measured on the test rows.")
        elif proposed.out_of_scope != outside:
            st.caption("The intents out of scope have changed since thresholds were proposed; propose them again.")
        else:
            _report(tried, draft, proposed.report)


def _propose(tried: Tried, draft: Draft, limits: ThresholdLimits) -> None:
    fallback = draft.used.fallback
    current_thresholds = (fallback.confidence, fallback.ambiguity)
    request = ProposeThresholds(tried.weights, fallback.out_of_scope, limits, current_thresholds)
    try:
        report = computed(request, "Measuring the validation and test rows …")
    except (*ERRORS, UsageError, ValueError) as error:
        show_error(error)
        return
    ChatState.current().proposed[tried.weights] = Proposed(fallback.out_of_scope, report)


def _report(tried: Tried, draft: Draft, report: ThresholdReport) -> None:
    proposal = report.proposal
    if proposal is None:
        st.warning(escape(report.reason), icon=":material/block:")
    else:
        st.markdown(
            f"Proposed: **confidence {number(proposal.confidence)}**, **ambiguity {number(proposal.ambiguity)}** "
            f"({_limits_text(report.limits)})."
        )
    st.dataframe(_table(report), hide_index=True, width="stretch")
    has_intervals = any(part.automation_interval for part in report.now)
    st.caption(
        "Validation rows chose the thresholds, so their figures are optimistic; the test rows did not influence the "
        "choice. "
        + ("In parentheses: 95% confidence intervals." if has_intervals else "Rows depend on each other: no intervals.")
    )
    if report.curve is not None:
        chart(_figure(report), key=Key.PLOT, name="automation and error", table=_curve_table(report))
    if proposal is not None:
        st.button(
            "Use these thresholds",
            icon=":material/check:",
            type="primary",
            key=Key.USE,
            disabled=draft.edited.fallback == proposal.applied_to(draft.edited.fallback),
            on_click=partial(_use, tried, draft, report),
        )


def _use(tried: Tried, draft: Draft, report: ThresholdReport) -> None:
    if report.proposal is not None:
        fallback = report.proposal.applied_to(draft.edited.fallback)
        draft.replace(draft.edited.model_copy(update={"fallback": fallback}))


def _limits_text(limits: ThresholdLimits) -> str:
    texts = []
    if limits.max_error is not None:
        texts.append(f"error of at most {limits.max_error:.1%}")
    if limits.min_recall is not None:
        texts.append(f"out-of-scope recall of at least {limits.min_recall:.0%}")
    return f"chosen on the validation rows for an {' and an '.join(texts)}"


def _proposed(report: ThresholdReport) -> list[Measured]:
    """Return what the proposed thresholds give on each split."""
    proposal = report.proposal
    return [part for part in (proposal.validation, proposal.test) if part is not None] if proposal else []


def _table(report: ThresholdReport) -> list[dict[str, str]]:
    """Return a row for each figure, with a column for each split and thresholds."""
    columns = {f"Proposed, {part.split}": part for part in _proposed(report)}
    columns |= {f"Now, {part.split}": part for part in report.now}
    table = [{"Figure": "Messages", **{name: f"{part.rows:,}" for name, part in columns.items()}}]
    for title, share in FIGURES.items():
        cells = {name: _share(*share(part)) for name, part in columns.items()}
        if any(cells.values()):
            table.append({"Figure": title, **cells})
    return table


def _share(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None:
        return ""
    return f"{share:.1%}" + (f" ({interval[0]:.0%}–{interval[1]:.0%})" if interval else "")


def _figure(report: ThresholdReport) -> go.Figure:
    """Return the error at each automation rate of the validation messages, with the measured thresholds."""
    import plotly.graph_objects as go

    figure, curve = go.Figure(), report.curve
    hover = "automation %{x:.1%}, error %{y:.2%}<extra></extra>"
    if curve is not None:
        figure.add_scatter(
            x=curve.coverage,
            y=curve.risk,
            mode="lines",
            name="validation, by confidence",
            line={"color": TRAIN},
            hovertemplate=hover,
        )
    for title, parts, color in (("proposed", _proposed(report), VALIDATION), ("now", report.now, "#94a3b8")):
        for part in parts:
            if part.error is not None:
                figure.add_scatter(
                    x=[part.automation],
                    y=[part.error],
                    mode="markers",
                    name=f"{title}, {part.split}",
                    marker={"color": color, "size": 12, "symbol": SYMBOLS[part.split]},
                    hovertemplate=hover,
                )
    figure.update_layout(
        height=HEIGHT,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis={"title": "Automation: share that is accepted", "range": [0, 1.02], "tickformat": ".0%"},
        yaxis={"title": "Error: share of these", "rangemode": "tozero", "tickformat": ".0%"},
    )
    return figure


def _curve_table(report: ThresholdReport) -> dict[str, Any]:
    curve = report.curve
    return {"automation": curve.coverage, "error": curve.risk} if curve is not None else {}
