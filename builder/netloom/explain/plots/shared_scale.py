"""Pictures of several explanations that are looked at beside each other: one scale, and parts in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.plots import figures, text
from netloom.explain.plots.explanation_plots import Drawn, PlotKind, drawn, kind_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.core.explanation import Explanation

MOST_BARS = 15


def pictures(
    found: Explanation, parts: Mapping[str, np.ndarray], bounds: Mapping[str, float], like: Mapping[str, np.ndarray]
) -> list[Drawn]:
    """The pictures of `parts`, by field or node, of an explanation. `bounds` end their scales; bars stand in the order
    of the parts `like`, the strongest first."""
    listed: list[Drawn] = []
    for name, values in parts.items():
        end = bounds.get(name, 1.0)
        if name not in found.attributions:
            listed += [_rescaled(one, end) for one in drawn(replace(found, attributions={}, nodes={name: values}))]
            continue
        one_field = replace(found, attributions={name: values}, nodes={})
        kind = kind_of(one_field, name)
        if kind is PlotKind.TEXT:
            listed.append(_text(one_field, name, values, end))
        elif kind is PlotKind.BARS:
            listed.append(_bars(one_field, name, values, end, like.get(name, values)))
        else:
            listed += [_rescaled(one, end) for one in drawn(one_field)]
    return listed


def order(values: np.ndarray) -> list[int]:
    """The places of the strongest parts, (parts,), the strongest first."""
    found: list[int] = np.argsort(-np.abs(values), kind="stable")[:MOST_BARS].tolist()
    return found


def _text(found: Explanation, name: str, values: np.ndarray, end: float) -> Drawn:
    labels = found.labels[name]
    kept = [place for place, label in enumerate(labels) if label and place < len(values)]
    named, shown = [labels[place] for place in kept], values[kept]
    table: dict[str, list[Any]] = {"place": kept, "token": named, "attribution": shown.tolist()}
    html = text.as_html(named, shown, end=end)
    return Drawn(f"text {name}", name, PlotKind.TEXT, html=html, svg=text.as_svg(named, shown, end), table=table)


def _bars(found: Explanation, name: str, values: np.ndarray, end: float, like: np.ndarray) -> Drawn:
    labels, places = found.labels.get(name, ()), order(like)
    named = [labels[place] if place < len(labels) else f"number {place}" for place in range(len(values))]
    figure = figures.bars(values[places], [named[place] for place in places])
    figure.update_xaxes(range=[-1.06 * end, 1.06 * end])
    table = {"feature": named, "attribution": values.tolist()}
    return Drawn(f"bars {name}", name, PlotKind.BARS, figure, table=table)


def _rescaled(one: Drawn, end: float) -> Drawn:
    for figure in (one.figure, one.beside):
        if figure is not None:
            ended(figure, end)
    return one


def ended(figure: go.Figure, end: float) -> None:
    """Let the colors that are centred on zero end elsewhere."""
    for trace in figure.data:
        if trace.type == "heatmap" and trace.zmin is not None and trace.zmin < 0:
            ticks = [-end, 0.0, end]
            texts = [f"{value:+.2g}" if value else "0" for value in ticks]
            trace.update(zmin=-end, zmax=end, colorbar={"tickvals": ticks, "ticktext": texts})


def lines(x: Sequence[Any], curves: Mapping[str, Sequence[float | None]], title: str, across: str) -> go.Figure:
    """Curves over the checkpoints; at most three, told apart by dashes as by colors."""
    import plotly.graph_objects as go

    from netloom.explain.plots.colors import AGAINST, FOR, rgb

    figure = go.Figure()
    looks = ((rgb(AGAINST), "solid"), (rgb(FOR), "dash"), (figures.GREY, "dot"))
    for (name, values), (color, dash) in zip(curves.items(), looks, strict=False):
        line = {"color": color, "dash": dash, "width": 2.5}
        figure.add_scatter(x=list(x), y=list(values), name=name, mode="lines+markers", line=line)
    figure.update_layout(
        title={"text": title, "x": 0, "font": {"size": 15}},
        height=250 + 40 * (len(curves) > 1),
        margin=figures.MARGIN,
        xaxis_title=across,
        showlegend=len(curves) > 1,
        legend={"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top"},  # clear of the title and of the curves
    )
    return figure
