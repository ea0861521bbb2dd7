"""Plotly figures of attributions: over images, for columns, along series, and for layers.

Backgrounds are transparent and text has no color of its own, so that each page can apply its theme.

Each figure is constructed at once from plain dictionaries. Plotly validates and copies a trace or a layout whenever it
is added or updated, so a grid of ten maps took ten times as long when it was built step by step.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.core.text import cut, without_markup
from netloom.explain.core.parts.axes import Axes
from netloom.explain.plots.colors import AGAINST, DIVERGING, FOR, bound, rgb

if TYPE_CHECKING:
    import plotly.graph_objects as go

Sign = Literal["both", "for", "against"]
MAX_BARS, MAX_CHANNELS, MAX_NAMED = 15, 6, 20
MARGIN = {"l": 8, "r": 8, "t": 34, "b": 8}
# Characters of a title in a plot of 300 pixels, and in one whose names of bars take half of them.
LINE, LINE_BESIDE_NAMES = 42, 26
GRAY = "rgba(130, 130, 140, 0.8)"


def axis_title(text: str, letters: int = LINE) -> str:
    """Return the title of an axis in lines that fit a phone; Plotly would cut a longer line at the edge."""
    return "<br>".join(textwrap.wrap(text, letters)) if len(text) > letters else text


def filter_sign(values: np.ndarray, sign: Sign) -> np.ndarray:
    """Keep the values of one sign, and set the others to 0."""
    if sign == "both":
        return values
    filtered: np.ndarray = np.maximum(values, 0) if sign == "for" else np.minimum(values, 0)
    return filtered


def picture(image: Any, title: str = "Input") -> go.Figure:
    """Draw an image (H, W) or (H, W, 3) with values in [0, 1]."""
    import plotly.graph_objects as go

    return go.Figure([_pixels(np.clip(image, 0, 1))], _square(title))


def overlay(
    values: np.ndarray,
    image: Any = None,
    *,
    title: str = "",
    opacity: float = 0.85,
    sign: Sign = "both",
    end: float | None = None,
) -> go.Figure:
    """Draw attributions (H, W) over a gray copy of their image.

    The scale is centered on zero and the same for each `sign`; `end` is its limit, by default the largest magnitude.
    """
    import plotly.graph_objects as go

    traces = []
    if image is not None:
        pixels = np.clip(np.asarray(image, dtype=np.float64), 0, 1)
        traces.append(_pixels(pixels if pixels.ndim == 2 else pixels.mean(2)))
    end = end or bound(values)
    traces.append(
        {
            "type": "heatmap",
            "z": filter_sign(values, sign),
            "zmin": -end,
            "zmax": end,
            "opacity": opacity,
            "hovertemplate": "row %{y}, column %{x}: %{z:+.4g}<extra></extra>",
            **color_scale(end),
        }
    )
    return go.Figure(traces, _square(title))


def bars(values: np.ndarray, names: Sequence[str], *, unit: str = "") -> go.Figure:
    """Draw one bar for each feature, from top to bottom."""
    import plotly.graph_objects as go

    keys = list(range(len(names)))  # two features may have the same name
    colors = [rgb(FOR) if value > 0 else rgb(AGAINST) for value in values]
    trace = {
        "type": "bar",
        "x": values,
        "y": keys,
        "orientation": "h",
        "marker": {"color": colors},
        "customdata": list(names),
        "hovertemplate": "%{customdata}: %{x:+.4g}<extra></extra>",
    }
    layout = {
        "height": max(136, 88 + 24 * len(keys)),
        "margin": MARGIN,
        "xaxis": {"title": axis_title(unit or "Attribution")},
        "yaxis": named_rows(names),
    }
    return go.Figure([trace], layout)


def waterfall(values: np.ndarray, names: Sequence[str], start: float, end: float) -> go.Figure:
    """Draw a waterfall from the baseline score to the score, feature by feature."""
    import plotly.graph_objects as go

    row_names = [f"baseline {start:.4g}", *names, f"example {end:.4g}"]
    keys = list(range(len(row_names)))
    changes = {
        "type": "waterfall",
        "orientation": "h",
        "base": start,
        "x": [0.0, *map(float, values), 0.0],
        "y": keys,
        "measure": ["absolute", *("relative" for _ in names), "total"],
        "increasing": {"marker": {"color": rgb(FOR)}},
        "decreasing": {"marker": {"color": rgb(AGAINST)}},
        "totals": {"marker": {"color": "rgba(0, 0, 0, 0)"}},
        "connector": {"line": {"color": GRAY, "width": 1}},
        "customdata": [""] + [f"{value:+.4g}" for value in values] + [""],
        "text": [""] + [f"{value:+.3g}" for value in values] + [""],
        "textposition": "outside",
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    # Bars for the two totals would start at 0, far from the changes between them, so markers show the totals.
    marker = {"color": GRAY, "size": 11}
    totals = {"type": "scatter", "x": [start, end], "y": [0, keys[-1]], "mode": "markers", "marker": marker}
    passed = [start, *(start + np.cumsum(values)), end]
    padding = 0.12 * (max(passed) - min(passed) or 1.0)
    layout = {
        "height": 96 + 26 * len(keys),
        "margin": MARGIN,
        "showlegend": False,
        "xaxis": {"title": "Score", "range": [min(passed) - padding, max(passed) + padding]},
        "yaxis": named_rows(row_names),
    }
    return go.Figure([changes, totals], layout)


def strongest(values: np.ndarray, names: Sequence[str], max_bars: int = MAX_BARS) -> tuple[np.ndarray, list[str]]:
    """Return the strongest features, with all others summed into one."""
    order = np.argsort(-np.abs(values), kind="stable")
    if len(order) <= max_bars + 1:
        return values[order], [names[index] for index in order]
    shown_places, remaining = order[:max_bars], order[max_bars:]
    shown_values = np.append(values[shown_places], values[remaining].sum())
    return shown_values, [*(names[index] for index in shown_places), f"{len(remaining)} others"]


def series_band(
    values: np.ndarray, series: np.ndarray | None, channels: Sequence[str] = (), axes: Axes | None = None
) -> go.Figure:
    """Draw a series (T, D) on a band colored by its attributions (T, D), one row per channel.

    Without a series, or with many channels, the attributions are drawn as a heatmap. Long series are colored by
    segment.
    """
    import plotly.graph_objects as go

    steps, width = values.shape
    axes = axes or Axes()
    pieces, sums, along = axes.pieces(steps), axes.drawn(values), axes.along(steps)
    end = bound(sums)
    # A heatmap needs the edges of segments, one more than there are segments.
    edges = along if pieces is None else np.append(along[list(pieces.starts)], along[-1])
    each = values if pieces is None else np.repeat(sums, np.diff([*pieces.starts, steps]), axis=0)
    names = [short_name(name) for name in axes.names(width, tuple(channels))]
    if series is None or width > MAX_CHANNELS:
        return _series_heatmap(sums, edges, names, axes, steps)
    layout = subplot_axes(width, 1, horizontal_spacing=0.2, vertical_spacing=0.04, shares_x=True)
    traces = []
    for channel in range(width):
        line = series[:, channel]
        padding = 0.08 * (float(np.ptp(line)) or 1.0)
        low, high = float(line.min()) - padding, float(line.max()) + padding
        number = axis_number(channel)
        placed = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        scale = {"hoverinfo": "skip", **color_scale(end), **({} if channel == 0 else {"showscale": False})}
        colors = {"type": "heatmap", "z": sums[None, :, channel], "x": edges, "y": [low, high], **scale}
        traces.append({**colors, "zmin": -end, "zmax": end, **placed})
        line_style = {"color": GRAY, "width": 1.6 if pieces is None else 1.0}
        label = "attribution" if pieces is None else "attribution of its segment"
        traces.append(
            {
                "type": "scatter",
                "x": along,
                "y": line,
                "mode": "lines",
                "line": line_style,
                "customdata": each[:, channel],
                "hovertemplate": f"{axes.title.lower()} %{{x:.4g}}: %{{y:.4g}}, {label} "
                "%{customdata:+.4g}<extra></extra>",
                **placed,
            }
        )
        title = names[channel] if width > 1 or channels else ""
        layout[f"yaxis{number}"].update({"range": [low, high], "title": title, "showgrid": False})
        layout[f"xaxis{number}"].update({"showgrid": False, "zeroline": False})
    layout[f"xaxis{axis_number(width - 1)}"]["title"] = axes.title
    return go.Figure(traces, {**layout, "height": 130 + 150 * width, "margin": MARGIN, "showlegend": False})


def _series_heatmap(sums: np.ndarray, edges: np.ndarray, names: Sequence[str], axes: Axes, steps: int) -> go.Figure:
    """Draw the attributions (P, D) of the steps or segments of a series as a heatmap, one row per channel."""
    import plotly.graph_objects as go

    width, end = len(names), bound(sums)
    heat = {
        "type": "heatmap",
        "z": sums.T,
        "x": edges,
        "y": list(range(width)),
        "zmin": -end,
        "zmax": end,
        "customdata": _named(names, sums),
        "hovertemplate": f"{axes.title.lower()} %{{x:.4g}}, %{{customdata}}: %{{z:+.4g}}<extra></extra>",
        **color_scale(end),
    }
    # Fewer tick labels, so that they do not overlap.
    named_places = list(range(0, width, -(-width // MAX_NAMED)))
    layout = {
        "height": max(220, min(520, 90 + 22 * width)),
        "margin": MARGIN,
        "xaxis": {
            "title": axes.title,
            "showgrid": False,
            "zeroline": False,
            "dtick": 1 if axes.is_graph and steps <= 30 else None,
        },
        "yaxis": {
            "tickmode": "array",
            "tickvals": named_places,
            "ticktext": [names[index] for index in named_places],
            "showgrid": False,
            "zeroline": False,
            "autorange": "reversed" if axes.of_nodes else None,
        },
    }
    return go.Figure([heat], layout)


def _named(names: Sequence[str], sums: np.ndarray) -> list[list[str]]:
    return [[name] * len(sums) for name in names]


def axis_number(index: int) -> str:
    """Return the number of the axes of a subplot in Plotly's names: "" for the first, then "2", "3", …"""
    return str(index + 1) if index else ""


def subplot_axes(
    rows: int, columns: int, *, horizontal_spacing: float, vertical_spacing: float, shares_x: bool = False
) -> dict[str, Any]:
    """Return the axes of a grid of subplots, as the layout of `plotly.subplots.make_subplots` has them.

    Subplots are numbered from the top left, row by row. With `shares_x`, the subplots of a column have the horizontal
    axis of the lowest one.
    """
    width = (1.0 - horizontal_spacing * (columns - 1)) / columns
    height = (1.0 - vertical_spacing * (rows - 1)) / rows
    axes: dict[str, Any] = {}
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        # Summed as Plotly sums them, so that the axes are equal to the last bit.
        left = sum([width] * column) + column * horizontal_spacing
        bottom = sum([height] * (rows - 1 - row)) + (rows - 1 - row) * vertical_spacing
        number = axis_number(index)
        axes[f"xaxis{number}"] = {"anchor": f"y{number}", "domain": [left, left + width]}
        axes[f"yaxis{number}"] = {"anchor": f"x{number}", "domain": [bottom, bottom + height]}
        if shares_x and row < rows - 1:
            lowest = axis_number((rows - 1) * columns + column)
            axes[f"xaxis{number}"] |= {"matches": f"x{lowest}", "showticklabels": False}
    return axes


def subplot_titles(layout: Mapping[str, Any], titles: Sequence[str], *, size: int) -> list[dict[str, Any]]:
    """Return the titles of subplots as annotations above their axes, which are those of `subplot_axes`. An empty title
    is omitted."""
    return [
        {
            "text": title,
            "x": sum(layout[f"xaxis{axis_number(index)}"]["domain"]) / 2.0,
            "y": layout[f"yaxis{axis_number(index)}"]["domain"][1],
            "xref": "paper",
            "yref": "paper",
            "xanchor": "center",
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": size},
        }
        for index, title in enumerate(titles)
        if title
    ]


def vertical_line(x: float, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line over the whole height of a figure at `x`, as a shape of its layout."""
    return {"type": "line", "x0": x, "x1": x, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain", "line": line}


def grid(values: np.ndarray, across: str, down: str) -> go.Figure:
    """Draw a table of numbers (rows, columns) as a heatmap."""
    import plotly.graph_objects as go

    end = bound(values)
    heat = {"type": "heatmap", "z": values, "zmin": -end, "zmax": end, **color_scale(end)}
    layout = {"height": 320, "margin": MARGIN, "xaxis": {"title": across}, "yaxis": {"title": down}}
    return go.Figure([heat], layout)


def color_scale(end: float) -> dict[str, Any]:
    """Return Plotly's settings of a color scale centered on zero with the limit `end`."""
    ticks = [-end, 0.0, end]
    colorbar = {
        "thickness": 9,
        "outlinewidth": 0,
        "len": 0.9,
        "tickvals": ticks,
        "ticktext": [f"{value:+.2g}" if value else "0" for value in ticks],
    }
    return {"colorscale": DIVERGING, "colorbar": colorbar}


def _pixels(image: np.ndarray) -> dict[str, Any]:
    """Return the trace of an image (H, W) or (H, W, 3)."""
    if image.ndim == 2:
        scale = {"colorscale": "gray", "zmin": 0, "zmax": 1, "showscale": False}
        return {"type": "heatmap", "z": image, "hoverinfo": "skip", **scale}
    return {"type": "image", "z": (image * 255).astype(np.uint8), "hoverinfo": "skip"}


def _square(title: str) -> dict[str, Any]:
    """Return the layout of an image with a title."""
    return {
        "title": {"text": title, "x": 0, "font": {"size": 15}},
        "height": 380,
        "margin": MARGIN,
        "xaxis": {"visible": False, "constrain": "domain"},
        "yaxis": {"visible": False, "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
    }


def named_rows(names: Sequence[str]) -> dict[str, Any]:
    """Return the vertical axis of rows with names, which need not be unique."""
    ticks = [short_name(name) for name in names]
    return {
        "range": [len(ticks) - 0.4, -0.6],  # reversed, so that the first row is at the top
        "tickmode": "array",
        "tickvals": list(range(len(ticks))),
        "ticktext": ticks,
        "automargin": True,
        "showgrid": False,
    }


def short_name(name: str) -> str:
    """Shorten a label and escape it, because Plotly interprets markup."""
    return without_markup(cut(name, 40))
