"""Plotly figures of calibration: reliability, risk and coverage, prediction sets, out-of-distribution scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.calibration.reliability import Reliability
    from netloom.calibration.selective import RiskCoverage, Selected

HEIGHT = 340
GRAY = "#94a3b8"
COMPARISON_COLORS = (VALIDATION, "#10b981", "#e11d48", "#0ea5e9", "#a855f7")
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def reliability_chart(diagrams: Mapping[str, Reliability], right: str = "accuracy") -> go.Figure:
    """Return confidence against accuracy for diagrams by name; perfect calibration is the diagonal. The size of a point
    grows with the share of predictions in its bin. `right` is the name of the share of right predictions."""
    import plotly.graph_objects as go

    figure = go.Figure()
    line = {"dash": "dot", "color": GRAY}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, name="perfect", hoverinfo="skip")
    for (name, diagram), color in zip(
        diagrams.items(), (VALIDATION, TRAIN) if len(diagrams) > 1 else (TRAIN,), strict=True
    ):
        most = max(diagram.count, default=1)
        figure.add_scatter(
            x=diagram.confidence,
            y=diagram.right,
            mode="lines+markers",
            name=name,
            customdata=diagram.count,
            line={"color": color},
            marker={"size": [6 + 12 * (count / most) ** 0.5 for count in diagram.count]},
            hovertemplate=f"confidence %{{x:.1%}}, {right} %{{y:.1%}}, %{{customdata:,}} predictions<extra></extra>",
        )
    figure.update_layout(
        height=HEIGHT,
        margin=MARGIN,
        legend=LEGEND,
        xaxis={"title": "Confidence", "range": [0, 1.02], "tickformat": ".0%"},
        yaxis={"title": right.capitalize(), "range": [0, 1.02], "tickformat": ".0%"},
    )
    return figure


def risk_coverage_chart(curve: RiskCoverage, chosen: Selected | None) -> go.Figure:
    """Return the risk at each coverage, with the point of the abstention."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(
        x=curve.coverage,
        y=curve.risk,
        mode="lines",
        name="by confidence",
        line={"color": TRAIN},
        hovertemplate="coverage %{x:.1%}, risk %{y:.2%}<extra></extra>",
    )
    if chosen is not None and chosen.risk is not None:
        figure.add_scatter(
            x=[chosen.coverage],
            y=[chosen.risk],
            mode="markers",
            name="with abstention",
            marker={"color": VALIDATION, "size": 12},
            hovertemplate="coverage %{x:.1%}, risk %{y:.2%}<extra></extra>",
        )
    figure.update_layout(
        height=HEIGHT,
        margin=MARGIN,
        legend=LEGEND,
        showlegend=True,
        xaxis={"title": "Coverage: share of answered rows", "range": [0, 1.02], "tickformat": ".0%"},
        yaxis={"title": "Risk: share of wrong answers", "rangemode": "tozero", "tickformat": ".1%"},
    )
    return figure


def set_sizes_chart(sizes: Sequence[int]) -> go.Figure:
    """Return the number of rows with a prediction set of 1, 2, … classes."""
    import plotly.graph_objects as go

    names = [str(size) for size in range(1, len(sizes) + 1)]
    figure = go.Figure(go.Bar(x=names, y=list(sizes), marker_color=TRAIN))
    figure.update_layout(height=HEIGHT, margin=MARGIN, yaxis_title="Test rows")
    figure.update_xaxes(type="category", title="Classes in the prediction set")
    return figure


def scores_chart(title: str, drawn: Mapping[str, Sequence[float]], threshold: float) -> go.Figure:
    """Return histograms of an out-of-distribution score by the name of the data, with the threshold."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, values, color in zip(drawn, drawn.values(), (TRAIN, *COMPARISON_COLORS), strict=False):
        figure.add_histogram(
            x=list(values), name=name, marker_color=color, opacity=0.55, nbinsx=40, histnorm="probability"
        )
    figure.add_vline(x=threshold, line_dash="dash", line_color=GRAY)
    figure.update_layout(
        height=HEIGHT,
        margin=MARGIN,
        legend=LEGEND,
        barmode="overlay",
        xaxis_title=title,
        yaxis={"title": "Share of rows", "tickformat": ".0%"},
    )
    return figure
