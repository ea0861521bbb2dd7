"""Plotly figures: curves, confusion, residuals. They take their colours from Streamlit's theme."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from builder.store import Points

if TYPE_CHECKING:
    import plotly.graph_objects as go

TRAIN, VALIDATION = "#6366f1", "#f97316"
MAX_POINTS = 1_500
MARGIN = {"l": 8, "r": 8, "t": 34, "b": 8}
Curves = dict[tuple[str, str], tuple[list[int], list[float]]]


def curves(points: Points) -> Curves:
    """Steps and values by split and name."""
    found: Curves = defaultdict(lambda: ([], []))
    for step, split, name, value in zip(points.step, points.split, points.name, points.value, strict=True):
        steps, values = found[split, name]
        steps.append(step)
        values.append(value)
    return dict(found)


def curve_chart(found: Curves, name: str, title: str, steps_per_epoch: int) -> go.Figure:
    """One measure over epochs, for training and validation; for the loss, the batches' own as a faint line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    if name == "loss" and ("train", "batch_loss") in found:
        steps, values = thin(*found["train", "batch_loss"])
        figure.add_scatter(
            x=_epochs(steps, steps_per_epoch),
            y=values,
            name="batches",
            mode="lines",
            line={"color": TRAIN, "width": 1},
            opacity=0.35,
        )
    for split, colour in (("train", TRAIN), ("validation", VALIDATION)):
        if (split, name) in found:
            steps, values = thin(*found[split, name])
            mode = "lines" if len(steps) > 30 else "lines+markers"
            line = {"color": colour, "width": 2.2}
            figure.add_scatter(x=_epochs(steps, steps_per_epoch), y=values, name=split, mode=mode, line=line)
    figure.update_layout(
        title={"text": title, "x": 0, "font": {"size": 15}},
        height=320,
        margin=MARGIN,
        xaxis_title="Epoch",
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top"},
        uirevision="curves",  # a zoom stays while points come in
    )
    return figure


def empty_chart() -> go.Figure:
    """Axes that wait for curves."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(height=300, margin=MARGIN, xaxis_title="Epoch", yaxis_title="Loss")
    figure.update_xaxes(range=[0, 10])
    figure.update_yaxes(range=[0, 1])
    return figure


def series_chart(values: Any, small: bool) -> go.Figure:
    """A series, (T, channels)."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for channel in range(values.shape[1]):
        figure.add_scatter(y=values[:, channel], mode="lines")
    figure.update_layout(height=130 if small else 220, margin=MARGIN, showlegend=False)
    return figure


def class_chart(counts: dict[str, int]) -> go.Figure:
    """How many rows each class has."""
    import plotly.graph_objects as go

    names = [name if len(name) <= 18 else f"{name[:17]}…" for name in counts]
    figure = go.Figure(go.Bar(x=names, y=list(counts.values()), marker_color=TRAIN))
    figure.update_layout(height=240, margin=MARGIN, yaxis_title="Rows")
    figure.update_xaxes(type="category")
    return figure


def thin(steps: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """At most about `MAX_POINTS` of a curve: of each stretch its lowest and highest, so that no spike is lost."""
    if len(steps) <= MAX_POINTS:
        return list(steps), list(values)
    size = -(-len(steps) // (MAX_POINTS // 2))
    kept: list[int] = []
    for start in range(0, len(steps), size):
        stretch = range(start, min(start + size, len(steps)))
        kept += sorted({min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)})
    if kept[-1] != len(steps) - 1:
        kept.append(len(steps) - 1)
    return [steps[place] for place in kept], [values[place] for place in kept]


def confusion_chart(counts: list[list[int]], classes: Sequence[str]) -> go.Figure:
    """How often each class was taken for each other; shades are shares of a row."""
    import plotly.graph_objects as go

    names = [name if len(name) <= 16 else f"{name[:15]}…" for name in classes]
    shares = [[value / max(sum(row), 1) for value in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=counts,
            texttemplate="%{text}" if len(classes) <= 15 else None,
            colorscale=[[0, "rgba(99,102,241,0.04)"], [1, "rgba(99,102,241,1)"]],
            zmin=0,
            zmax=1,
            showscale=False,
            hovertemplate="%{y} taken for %{x}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        title={"text": "Confusion", "x": 0, "font": {"size": 15}},
        height=max(300, min(620, 90 + 32 * len(classes))),
        margin=MARGIN,
        xaxis={"title": "Predicted", "type": "category", "showgrid": False},
        yaxis={"title": "True", "type": "category", "autorange": "reversed", "showgrid": False},
    )
    return figure


def residual_chart(target: list[float], predicted: list[float], name: str) -> go.Figure:
    """Predicted against true values; a perfect network's points lie on the line."""
    import plotly.graph_objects as go

    low, high = min(*target, *predicted), max(*target, *predicted)
    figure = go.Figure()
    figure.add_scatter(
        x=[low, high], y=[low, high], mode="lines", line={"dash": "dot", "color": "#94a3b8"}, name="exact"
    )
    figure.add_scatter(x=target, y=predicted, mode="markers", marker={"color": TRAIN, "opacity": 0.6}, name="rows")
    figure.update_layout(
        title={"text": f"Predicted against true {name}", "x": 0, "font": {"size": 15}},
        height=380,
        margin=MARGIN,
        xaxis_title="True",
        yaxis_title="Predicted",
        showlegend=False,
    )
    return figure


def _epochs(steps: list[int], steps_per_epoch: int) -> list[float]:
    return [step / max(steps_per_epoch, 1) for step in steps]
