"""Plotly figures: confusion, residuals, classes. Streamlit's theme colors them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from netloom.core.text import distinct, without_markup

if TYPE_CHECKING:
    import plotly.graph_objects as go

Number = TypeVar("Number", int, float)
TRAIN, VALIDATION = "#6366f1", "#f97316"
# Of runs or variants; visible on white and on black.
COLORS = "#6366f1 #f97316 #10b981 #e11d48 #0ea5e9 #a855f7 #84cc16 #f59e0b #14b8a6 #ec4899".split()
MAX_POINTS = 1_500
MAX_NAMES = 40  # below the bars of one figure
MAX_LINES = 12  # that can be distinguished in one figure
# The ratio of the ranges of two channels from which one is flat beside the other.
UNEQUAL = 20
MARGIN = {"l": 8, "r": 8, "t": 34, "b": 8}


def described(figure: go.Figure, name: str) -> str:
    """Return the accessible name of a chart: its title, or else `name`, and the titles of its axes."""
    layout = figure.layout
    axes = [axis.title.text for axis in (layout.yaxis, layout.xaxis) if axis.title.text]
    text = f"Chart: {layout.title.text or name}" + (f" ({' over '.join(axes)})" if axes else "")
    return text.replace("<br>", " ")


def series_chart(values: Any, small: bool) -> go.Figure:
    """Return a chart of a series (T, channels): lines, or a heatmap of many channels such as those of a spectrogram.

    Channels whose ranges differ much, as those of different units do, are each drawn over the whole height.
    """
    import plotly.graph_objects as go

    values, is_scaled = over_one_height(values)
    traces: list[dict[str, Any]] = [{"type": "heatmap", "z": values.T, "colorscale": "Cividis", "showscale": False}]
    if values.shape[1] <= MAX_LINES:
        traces = [{"type": "scatter", "y": values[:, channel], "mode": "lines"} for channel in range(values.shape[1])]
    layout = {
        "height": 130 if small else 220,
        "margin": MARGIN,
        "showlegend": False,
        "xaxis": {"showticklabels": not small},  # small charts are for comparison
        "yaxis": {"title": "scaled", "showticklabels": False} if is_scaled else {},
    }
    return go.Figure(traces, layout)


def over_one_height(values: Any) -> tuple[Any, bool]:
    """Return a series (T, channels), and whether its channels are scaled from 0 to 1 because their ranges differ
    much."""
    import numpy as np

    low, ranges = values.min(0), np.ptp(values, axis=0)
    varied = ranges[ranges > 0]
    if len(varied) < 2 or values.shape[1] > MAX_LINES or varied.max() <= UNEQUAL * varied.min():
        return values, False
    return (values - low) / np.where(ranges > 0, ranges, 1.0), True


def class_chart(counts: dict[str, int], counted: str = "rows") -> go.Figure:
    """Return a bar chart of the number of rows, or of what else is `counted`, of each class."""
    import plotly.graph_objects as go

    names = category_names(list(counts), 18)
    trace = {"type": "bar", "x": names, "y": list(counts.values()), "marker": {"color": TRAIN}}
    trace |= {"customdata": category_names(list(counts), 80), "hovertemplate": "%{customdata}: %{y:,}<extra></extra>"}
    axes = {"xaxis": category_axis(len(names)), "yaxis": {"title": counted.capitalize()}}
    return go.Figure([trace], {"height": 240, "margin": MARGIN, **axes})


def category_names(names: Sequence[str], letters: int) -> list[str]:
    """Return names of the categories of an axis: short and different, without markup."""
    return [without_markup(name) for name in distinct(names, letters)]


def category_axis(count: int) -> dict[str, Any]:
    """Return the axis of categories, without their names if the bars would have no height above so many."""
    axis: dict[str, Any] = {"type": "category"}
    return (
        axis if count <= MAX_NAMES else axis | {"showticklabels": False, "title": f"{count:,} bars (hover for names)"}
    )


def thin(steps: Sequence[Number], values: Sequence[float], most: int = MAX_POINTS) -> tuple[list[Number], list[float]]:
    """Return at most about `most` points of a curve: the lowest and highest of each stretch, so that spikes remain."""
    if len(steps) <= most:
        return list(steps), list(values)
    size = -(-len(steps) // (most // 2))
    indices: list[int] = []
    for start in range(0, len(steps), size):
        stretch = range(start, min(start + size, len(steps)))
        indices += sorted({min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)})
    if indices[-1] != len(steps) - 1:
        indices.append(len(steps) - 1)
    return [steps[index] for index in indices], [values[index] for index in indices]


def confusion_chart(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Return the confusion matrix as a heatmap; colors are shares of a row."""
    import plotly.graph_objects as go

    names = category_names(classes, 16)
    shares = [[value / max(sum(row), 1) for value in row] for row in counts]
    trace = {
        "type": "heatmap",
        "z": shares,
        "x": names,
        "y": names,
        "text": counts,
        "colorscale": [[0, "rgba(99,102,241,0.04)"], [1, "rgba(99,102,241,1)"]],
        "zmin": 0,
        "zmax": 1,
        "showscale": False,
        "hovertemplate": "true %{y}, predicted %{x}: %{text}<extra></extra>",
    }
    layout = {
        "title": {"text": "Confusion", "x": 0, "font": {"size": 15}},
        "height": max(300, min(620, 90 + 32 * len(classes))),
        "margin": MARGIN,
        "xaxis": {"title": "Predicted", "type": "category", "showgrid": False},
        "yaxis": {"title": "True", "type": "category", "autorange": "reversed", "showgrid": False},
    }
    if len(classes) <= 15:
        layout["annotations"] = _numbers(counts, shares, names)
    return go.Figure([trace], layout)


def _numbers(counts: Sequence[Sequence[int]], shares: list[list[float]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the numbers of the cells as annotations, in the text color of the theme.

    The texts of a Plotly heatmap would be dark on the dark theme.
    """
    return [
        {
            "x": predicted,
            "y": name,
            "text": str(counts[row][column]),
            "showarrow": False,
            "font": {"size": 12, **({"color": "white"} if shares[row][column] > 0.5 else {})},
            "opacity": 1 if counts[row][column] else 0.4,
        }
        for row, name in enumerate(names)
        for column, predicted in enumerate(names)
    ]


def residual_charts(target: Sequence[float], predicted: Sequence[float]) -> tuple[go.Figure, go.Figure]:
    """Return charts of predicted against true values, and of residuals against predicted values.

    The points of a perfect network are on the lines; a trend or a spread of the residuals shows a systematic error.
    """
    ends = min(*target, *predicted), max(*target, *predicted)
    residuals = [true - guess for true, guess in zip(target, predicted, strict=True)]
    return (
        _scatter("Predicted against true value", ("True", target), ("Predicted", predicted), (ends, ends)),
        _scatter("Residuals", ("Predicted", predicted), ("True minus predicted", residuals), (ends, (0, 0))),
    )


def _scatter(
    title: str,
    x: tuple[str, Sequence[float]],
    y: tuple[str, Sequence[float]],
    exact: tuple[Sequence[float], Sequence[float]],
) -> go.Figure:
    """Return a scatter plot of two named values, with the line of no error."""
    import plotly.graph_objects as go

    dotted, marker = {"dash": "dot", "color": "#94a3b8"}, {"color": TRAIN, "opacity": 0.6}
    traces = [
        {"type": "scatter", "x": exact[0], "y": exact[1], "mode": "lines", "line": dotted, "name": "exact"},
        {"type": "scatter", "x": x[1], "y": y[1], "mode": "markers", "marker": marker, "name": "rows"},
    ]
    layout = {
        "title": {"text": title, "x": 0, "font": {"size": 15}},
        "height": 380,
        "margin": MARGIN,
        "xaxis": {"title": x[0]},
        "yaxis": {"title": y[0]},
        "showlegend": False,
    }
    return go.Figure(traces, layout)
