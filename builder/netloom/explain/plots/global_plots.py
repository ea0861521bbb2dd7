"""Plots of global attributions: bars, beeswarms, and mean maps of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.text import without_markup
from netloom.explain.core.parts.axes import Axes
from netloom.explain.plots import figures
from netloom.explain.plots.colors import FOR, rgb

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.dataset.aggregation import FeatureSummary
    from netloom.explain.dataset.global_attribution import GlobalAttributions

SHOWN, GROUPS = 15, 6
# From low to high: adjacent colors also differ in lightness, and all are visible on white and on black.
HEIGHTS = [[0, "#0072b2"], [0.5, "#8b8b93"], [1, "#d55e00"]]
# The palette of Okabe and Ito, without black and without the yellow that is hardly visible on white.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
BINS = 60
MAX_NAMED = 6
ABOVE = {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"}


def bars(parts: Sequence[FeatureSummary], groups: Sequence[str] = ()) -> go.Figure:
    """Draw the mean magnitude of each feature, in total or stacked by group."""
    import plotly.graph_objects as go

    shown_parts = list(parts[:SHOWN])
    keys, names = list(range(len(shown_parts))), [part.name for part in shown_parts]
    columns = [("", [part.mean for part in shown_parts])]
    colors: tuple[str, ...] = (rgb(FOR),)  # the color of unsigned magnitudes
    if groups:
        columns = [(group, [part.by_group.get(group, 0.0) for part in shown_parts]) for group in groups[:GROUPS]]
        colors = COLORS
    traces = [
        {
            "type": "bar",
            "x": values,
            "y": keys,
            "orientation": "h",
            "name": group,
            "marker": {"color": color},
            "customdata": names,
            "hovertemplate": "%{customdata}: %{x:.4g}<extra>" + without_markup(group) + "</extra>",
        }
        for (group, values), color in zip(columns, colors, strict=False)
    ]
    layout = {
        "height": 90 + max(26, 9 * len(columns)) * len(shown_parts),
        "margin": figures.MARGIN,
        "xaxis": {"title": "Mean |attribution|"},
        "yaxis": figures.named_rows(names),
        "legend": ABOVE,
        "showlegend": bool(groups),
    }
    return go.Figure(traces, layout)


def swarm(parts: Sequence[FeatureSummary]) -> go.Figure:
    """Draw a beeswarm: one point per example in the row of its feature, colored by the rank of the feature value."""
    import plotly.graph_objects as go

    shown_parts = list(parts[:SHOWN])
    spread = max((float(np.abs(part.points).max(initial=0.0)) for part in shown_parts), default=1.0) or 1.0
    traces = []
    ordered = [np.isfinite(part.levels).any() for part in shown_parts]
    for index, part in enumerate(shown_parts):
        has_level = np.isfinite(part.levels)
        marker = {
            "size": 5,
            "opacity": 0.8,
            "color": np.where(has_level, part.levels, 0.5),
            "colorscale": HEIGHTS,
            "cmin": 0,
            "cmax": 1,
            "showscale": index == 0 and any(ordered),
        }
        if marker["showscale"]:
            marker["colorbar"] = {
                "thickness": 9, "outlinewidth": 0, "len": 0.9, "tickvals": [0, 1], "ticktext": ["low", "high"],
                "title": {"text": "Feature value", "side": "right"},
            }  # fmt: skip
        trace = {
            "type": "scatter",
            "x": part.points,
            "y": index + swarm_offsets(part.points / spread),
            "mode": "markers",
            "marker": marker,
            "showlegend": False,
            "hovertemplate": f"{figures.short_name(part.name)}: %{{x:+.4g}}<extra></extra>",
        }
        traces.append(trace)
    layout = {
        "height": 90 + 26 * len(shown_parts),
        "margin": figures.MARGIN,
        "xaxis": {"title": "Attribution"},
        "yaxis": {"zeroline": False, **figures.named_rows([part.name for part in shown_parts])},
        "shapes": [figures.vertical_line(0, {"color": figures.GRAY, "width": 1})],
    }
    return go.Figure(traces, layout)


def swarm_offsets(values: np.ndarray) -> np.ndarray:
    """Return the vertical offset of each point (N,), from -1 to 1, so that points with similar values do not
    overlap."""
    bins = np.clip(((values + 1) / 2 * BINS).astype(int), 0, BINS)
    steps_aside, fullest = np.zeros(len(values)), 1
    for bin_index in np.unique(bins):
        indices = np.nonzero(bins == bin_index)[0]
        fullest = max(fullest, len(indices))
        # Offsets 0, +1, −1, +2, −2, …: the points of a bin alternate between both sides.
        steps = (np.arange(len(indices)) + 1) // 2
        steps_aside[indices] = np.where(np.arange(len(indices)) % 2, steps, -steps)
    offsets: np.ndarray = np.clip(steps_aside / fullest * 0.8, -0.4, 0.4)
    return offsets


def maps(attributions: GlobalAttributions, field: str, *, signed: bool) -> go.Figure:
    """Draw the mean map (H, W) of each group of images side by side on one scale."""
    values = (attributions.maps if signed else attributions.magnitudes)[field]
    flat = values.sum(1)  # (groups, H, W)
    titles = [
        f"{figures.short_name(name)} ({count})"
        for name, count in zip(attributions.groups, attributions.counts, strict=True)
    ]
    return _grid(flat, titles, signed=signed)


def single(values: np.ndarray, titles: Sequence[str]) -> go.Figure:
    """Draw maps (N, C, H, W) of single rows side by side, each on its own scale."""
    flat = values.sum(1)
    ends = np.abs(flat).max(axis=(1, 2), keepdims=True)
    return _grid(flat / np.where(ends > 0, ends, 1.0), titles, signed=True, scale=False)


def _grid(flat: np.ndarray, titles: Sequence[str], *, signed: bool, scale: bool = True) -> go.Figure:
    import plotly.graph_objects as go

    across = min(5, len(flat))
    down = -(-len(flat) // across)
    layout = figures.subplot_axes(down, across, horizontal_spacing=0.02, vertical_spacing=0.28 / down)
    end = float(np.abs(flat).max()) or 1.0
    style = figures.color_scale(end)
    if not signed:
        style = {
            "colorscale": [[0, rgb(FOR, 0.0)], [1, rgb(FOR)]],
            "colorbar": {**style["colorbar"], "tickvals": [0, end], "ticktext": ["0", f"{end:.2g}"]},
        }
    traces = []
    for index, values in enumerate(flat):
        number = figures.axis_number(index)
        heat = {
            "type": "heatmap",
            "z": values,
            "zmin": -end if signed else 0,
            "zmax": end,
            "showscale": scale and index == 0,
            "hovertemplate": "row %{y}, column %{x}: %{z:+.4g}<extra></extra>",
            "xaxis": f"x{number}",
            "yaxis": f"y{number}",
            **style,
        }
        traces.append(heat)
        # Tying x to y keeps the cells square.
        layout[f"xaxis{number}"] |= {"visible": False, "constrain": "domain", "scaleanchor": f"y{number}"}
        layout[f"yaxis{number}"] |= {"visible": False, "autorange": "reversed", "constrain": "domain"}
    layout |= {"height": 40 + 190 * down, "margin": figures.MARGIN}
    layout["annotations"] = figures.subplot_titles(layout, titles, size=13)
    return go.Figure(traces, layout)


def profile(attributions: GlobalAttributions, field: str) -> go.Figure:
    """Draw the mean magnitude along a series (T, D) for each group; long series by segment."""
    import plotly.graph_objects as go

    spans, axes = attributions.spans.get(field, ()), attributions.axes.get(field, Axes())
    traces = []
    for group_index, (group, color) in enumerate(zip(attributions.groups, COLORS, strict=False)):
        values = (
            attributions.magnitudes[field][group_index]
            .reshape(len(attributions.magnitudes[field][group_index]), -1)
            .sum(1)
        )
        trace = {
            "type": "scatter",
            "x": spans or axes.along(len(values)),
            "y": values,
            "name": group,
            "mode": "lines",
            "line": {"color": color, "width": 2},
        }
        traces.append(trace)
    across: dict[str, object] = {"title": "Segment" if spans else axes.title}
    if spans:  # fewer tick labels, so that they do not overlap
        named_spans = list(spans[:: -(-len(spans) // MAX_NAMED)])
        ticks = {"tickmode": "array", "tickvals": named_spans, "ticktext": named_spans, "tickangle": 0}
        across |= {"type": "category", **ticks}
    layout = {
        "height": 300,
        "margin": figures.MARGIN,
        "xaxis": across,
        "yaxis": {"title": "Mean |attribution|", "rangemode": "tozero"},
        "showlegend": len(attributions.groups) > 1,
        "legend": ABOVE,
    }
    return go.Figure(traces, layout)
