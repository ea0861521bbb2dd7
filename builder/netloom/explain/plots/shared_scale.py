"""Plots of several explanations side by side, with one scale and one feature order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.plots import figures, text
from netloom.explain.plots.explanation_plots import Plot, PlotKind, explanation_plots, plot_kind

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.core.explanation import Explanation

MAX_BARS = 15


def scaled_plots(
    explanation: Explanation,
    parts: Mapping[str, np.ndarray],
    bounds: Mapping[str, float],
    like: Mapping[str, np.ndarray],
) -> list[Plot]:
    """Return the plots of `parts`, by field or node, of an explanation.

    `bounds` are the limits of their scales. Bars are in descending order of the attributions `like`.
    """
    plots: list[Plot] = []
    for name, values in parts.items():
        end = bounds.get(name, 1.0)
        if name not in explanation.attributions:
            plots += [
                _rescaled(plot, end)
                for plot in explanation_plots(replace(explanation, attributions={}, nodes={name: values}))
            ]
            continue
        field_explanation = replace(explanation, attributions={name: values}, nodes={})
        kind = plot_kind(field_explanation, name)
        if kind is PlotKind.TEXT:
            plots.append(_text(field_explanation, name, values, end))
        elif kind is PlotKind.BARS:
            plots.append(_bars(field_explanation, name, values, end, like.get(name, values)))
        else:
            plots += [_rescaled(plot, end) for plot in explanation_plots(field_explanation)]
    return plots


def strongest_order(values: np.ndarray) -> list[int]:
    """Return the indexes of the strongest features in descending order."""
    positions: list[int] = np.argsort(-np.abs(values), kind="stable")[:MAX_BARS].tolist()
    return positions


def _text(explanation: Explanation, name: str, values: np.ndarray, end: float) -> Plot:
    labels = explanation.labels[name]
    positions = [index for index, label in enumerate(labels) if label and index < len(values)]
    tokens, shown_values = [labels[index] for index in positions], values[positions]
    table: dict[str, list[Any]] = {"place": positions, "token": tokens, "attribution": shown_values.tolist()}
    html = text.as_html(tokens, shown_values, end=end)
    return Plot(f"text {name}", name, PlotKind.TEXT, html=html, svg=text.as_svg(tokens, shown_values, end), table=table)


def _bars(explanation: Explanation, name: str, values: np.ndarray, end: float, reference: np.ndarray) -> Plot:
    labels, positions = explanation.labels.get(name, ()), strongest_order(reference)
    named = [labels[index] if index < len(labels) else f"number {index}" for index in range(len(values))]
    figure = figures.bars(values[positions], [named[index] for index in positions])
    figure.update_xaxes(range=[-1.06 * end, 1.06 * end])
    table = {"feature": named, "attribution": values.tolist()}
    return Plot(f"bars {name}", name, PlotKind.BARS, figure, table=table)


def _rescaled(plot: Plot, end: float) -> Plot:
    for figure in (plot.figure, plot.beside):
        if figure is not None:
            rescale_colors(figure, end)
    return plot


def rescale_colors(figure: go.Figure, end: float) -> None:
    """Set the limit of all color scales that are centered on zero."""
    for trace in figure.data:
        # The scale of an image starts at 0.
        if trace.type == "heatmap" and trace.zmin is not None and trace.zmin < 0:
            ticks = [-end, 0.0, end]
            texts = [f"{value:+.2g}" if value else "0" for value in ticks]
            trace.update(zmin=-end, zmax=end, colorbar={"tickvals": ticks, "ticktext": texts})


def lines(x: Sequence[Any], curves: Mapping[str, Sequence[float | None]], title: str, across: str) -> go.Figure:
    """Draw at most three curves over checkpoints, distinguished by dash and color."""
    import plotly.graph_objects as go

    from netloom.explain.plots.colors import AGAINST, FOR, rgb

    looks = ((rgb(AGAINST), "solid"), (rgb(FOR), "dash"), (figures.GRAY, "dot"))
    traces = [
        {
            "type": "scatter",
            "x": list(x),
            "y": list(values),
            "name": name,
            "mode": "lines+markers",
            "line": {"color": color, "dash": dash, "width": 2.5},
        }
        for (name, values), (color, dash) in zip(curves.items(), looks, strict=False)
    ]
    layout = {
        "title": {"text": title, "x": 0, "font": {"size": 15}},
        "height": 250 + 40 * (len(curves) > 1),
        "margin": figures.MARGIN,
        "xaxis": {"title": across},
        "showlegend": len(curves) > 1,
        # below the plot, where it does not overlap the title or the curves
        "legend": {"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top"},
    }
    return go.Figure(traces, layout)
