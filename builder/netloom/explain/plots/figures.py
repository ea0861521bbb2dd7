"""Plotly figures of attributions: over images, for columns, along series, and for layers.

Backgrounds are transparent and text has no color of its own, so that each page can apply its theme.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.explain.core.parts.axes import Axes
from netloom.explain.plots.colors import AGAINST, DIVERGING, FOR, bound, rgb

if TYPE_CHECKING:
    import plotly.graph_objects as go

Sign = Literal["both", "for", "against"]
MOST_BARS, MOST_CHANNELS, MOST_NAMED = 15, 6, 20
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

    return _square(go.Figure(_pixels(np.clip(image, 0, 1))), title)


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

    figure = go.Figure()
    if image is not None:
        pixels = np.clip(np.asarray(image, dtype=np.float64), 0, 1)
        figure.add_trace(_pixels(pixels if pixels.ndim == 2 else pixels.mean(2)))
    end = end or bound(values)
    figure.add_trace(
        go.Heatmap(
            z=filter_sign(values, sign),
            zmin=-end,
            zmax=end,
            opacity=opacity,
            hovertemplate="row %{y}, column %{x}: %{z:+.4g}<extra></extra>",
            **color_scale(end),
        )
    )
    return _square(figure, title)


def bars(values: np.ndarray, names: Sequence[str], *, unit: str = "") -> go.Figure:
    """Draw one bar for each feature, from top to bottom."""
    import plotly.graph_objects as go

    keys = list(range(len(names)))  # two features may have the same name
    colors = [rgb(FOR) if value > 0 else rgb(AGAINST) for value in values]
    trace = go.Bar(x=values, y=keys, orientation="h", marker_color=colors, customdata=list(names))
    trace.hovertemplate = "%{customdata}: %{x:+.4g}<extra></extra>"
    figure = go.Figure(trace)
    figure.update_layout(
        height=max(136, 88 + 24 * len(keys)), margin=MARGIN, xaxis_title=axis_title(unit or "Attribution")
    )
    return with_names(figure, names)


def waterfall(values: np.ndarray, names: Sequence[str], start: float, end: float) -> go.Figure:
    """Draw a waterfall from the baseline score to the score, feature by feature."""
    import plotly.graph_objects as go

    row_names = [f"baseline {start:.4g}", *names, f"example {end:.4g}"]
    keys = list(range(len(row_names)))
    trace = go.Waterfall(
        orientation="h",
        base=start,
        x=[0.0, *map(float, values), 0.0],
        y=keys,
        measure=["absolute", *("relative" for _ in names), "total"],
        increasing={"marker": {"color": rgb(FOR)}},
        decreasing={"marker": {"color": rgb(AGAINST)}},
        totals={"marker": {"color": "rgba(0, 0, 0, 0)"}},
        connector={"line": {"color": GRAY, "width": 1}},
        customdata=[""] + [f"{value:+.4g}" for value in values] + [""],
        text=[""] + [f"{value:+.3g}" for value in values] + [""],
        textposition="outside",
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = go.Figure(trace)
    # Bars for the two totals would start at 0, far from the changes between them, so markers show the totals.
    figure.add_scatter(x=[start, end], y=[0, keys[-1]], mode="markers", marker={"color": GRAY, "size": 11})
    figure.update_layout(height=96 + 26 * len(keys), margin=MARGIN, showlegend=False, xaxis_title="Score")
    passed = [start, *(start + np.cumsum(values)), end]
    padding = 0.12 * (max(passed) - min(passed) or 1.0)
    figure.update_xaxes(range=[min(passed) - padding, max(passed) + padding])
    return with_names(figure, row_names)


def strongest(values: np.ndarray, names: Sequence[str], max_bars: int = MOST_BARS) -> tuple[np.ndarray, list[str]]:
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
    from plotly.subplots import make_subplots

    steps, width = values.shape
    axes = axes or Axes()
    pieces, sums, along = axes.pieces(steps), axes.drawn(values), axes.along(steps)
    end = bound(sums)
    # A heatmap needs the edges of segments, one more than there are segments.
    edges = along if pieces is None else np.append(along[list(pieces.starts)], along[-1])
    each = values if pieces is None else np.repeat(sums, np.diff([*pieces.starts, steps]), axis=0)
    names = [short_name(name) for name in axes.names(width, tuple(channels))]
    if series is None or width > MOST_CHANNELS:
        heat = go.Heatmap(z=sums.T, x=edges, y=list(range(width)), zmin=-end, zmax=end, customdata=_named(names, sums))
        heat.hovertemplate = f"{axes.title.lower()} %{{x:.4g}}, %{{customdata}}: %{{z:+.4g}}<extra></extra>"
        figure = go.Figure(heat.update(**color_scale(end)))
        figure.update_layout(height=max(220, min(520, 90 + 22 * width)), margin=MARGIN, xaxis_title=axes.title)
        # Fewer tick labels, so that they do not overlap.
        named_places = list(range(0, width, -(-width // MOST_NAMED)))
        figure.update_yaxes(tickmode="array", tickvals=named_places, ticktext=[names[index] for index in named_places])
        figure.update_yaxes(showgrid=False, zeroline=False)
        if axes.of_nodes:
            figure.update_yaxes(autorange="reversed")
        figure.update_xaxes(showgrid=False, zeroline=False, dtick=1 if axes.is_graph and steps <= 30 else None)
        return figure
    figure = make_subplots(rows=width, cols=1, shared_xaxes=True, vertical_spacing=0.04)
    for channel in range(width):
        line = series[:, channel]
        padding = 0.08 * (float(np.ptp(line)) or 1.0)
        low, high = float(line.min()) - padding, float(line.max()) + padding
        colors = go.Heatmap(z=sums[None, :, channel], x=edges, y=[low, high], zmin=-end, zmax=end)
        colors.update(
            hoverinfo="skip", **(color_scale(end) if channel == 0 else {**color_scale(end), "showscale": False})
        )
        figure.add_trace(colors, channel + 1, 1)
        line_style = {"color": GRAY, "width": 1.6 if pieces is None else 1.0}
        drawn = go.Scatter(x=along, y=line, mode="lines", line=line_style, customdata=each[:, channel])
        label = "attribution" if pieces is None else "attribution of its segment"
        drawn.hovertemplate = (
            f"{axes.title.lower()} %{{x:.4g}}: %{{y:.4g}}, {label} %{{customdata:+.4g}}<extra></extra>"
        )
        figure.add_trace(drawn, channel + 1, 1)
        title = names[channel] if width > 1 or channels else ""
        figure.update_yaxes(range=[low, high], title_text=title, showgrid=False, row=channel + 1, col=1)
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_xaxes(title_text=axes.title, row=width, col=1)
    figure.update_layout(height=130 + 150 * width, margin=MARGIN, showlegend=False)
    return figure


def _named(names: Sequence[str], sums: np.ndarray) -> list[list[str]]:
    return [[name] * len(sums) for name in names]


def grid(values: np.ndarray, across: str, down: str) -> go.Figure:
    """Draw a table of numbers (rows, columns) as a heatmap."""
    import plotly.graph_objects as go

    end = bound(values)
    figure = go.Figure(go.Heatmap(z=values, zmin=-end, zmax=end, **color_scale(end)))
    figure.update_layout(height=320, margin=MARGIN, xaxis_title=across, yaxis_title=down)
    return figure


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


def _pixels(image: np.ndarray) -> Any:
    import plotly.graph_objects as go

    if image.ndim == 2:
        return go.Heatmap(z=image, colorscale="gray", zmin=0, zmax=1, showscale=False, hoverinfo="skip")
    return go.Image(z=(image * 255).astype(np.uint8), hoverinfo="skip")


def _square(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(title={"text": title, "x": 0, "font": {"size": 15}}, height=380, margin=MARGIN)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def with_names(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    """Label the rows of a figure with names, which need not be unique."""
    ticks = [short_name(name) for name in names]
    places = list(range(len(ticks)))
    # Reversed, so that the first row is at the top
    figure.update_yaxes(range=[len(ticks) - 0.4, -0.6], tickmode="array", tickvals=places, ticktext=ticks)
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def short_name(name: str) -> str:
    """Shorten a label and escape it, because Plotly interprets markup."""
    cut = name if len(name) <= 40 else f"{name[:39]}…"
    return cut.replace("&", "&amp;").replace("<", "&lt;")
