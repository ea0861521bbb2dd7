"""Attributions as pictures: over images, words, columns and series; and attention, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from builder.explain import AttentionMaps, Explanation
from builder.ui.charts import MARGIN
from builder.ui.words import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

FOR, AGAINST = "220, 38, 38", "37, 99, 235"
DIVERGING = [[0, f"rgb({AGAINST})"], [0.5, "rgba(160,160,170,0.06)"], [1, f"rgb({FOR})"]]
MOST_BARS = 15


def attributions(found: Explanation) -> None:
    """What each part of the example did for the explained answer."""
    if found.attention is not None:
        _attention(found.attention)
    for name, values in found.attributions.items():
        if len(found.attributions) > 1:
            st.markdown(f"**{plain(name)}**")
        labels = found.labels.get(name, ())
        if values.ndim == 3:
            _image(found, values, name)
        elif values.ndim == 1 and found.example.columns:
            _bars(values, labels, name)
        elif values.ndim == 1 and found.example.tokens:
            _tokens(values, labels, name)
        else:
            _series(found, values, name)
    if found.attributions:
        off = found.target.kind == "error"
        said = "Red makes the error larger, blue smaller" if off else "Red speaks for the answer, blue against it"
        st.caption(f"{said}; the stronger, the more.")


def _image(found: Explanation, values: np.ndarray, name: str) -> None:
    import plotly.graph_objects as go

    summed = values.sum(0)
    bound = float(np.abs(summed).max()) or 1.0
    left, right = st.columns(2)
    picture = np.clip(found.example.images.get(name, found.example.image), 0, 1)
    grey = picture if picture.ndim == 2 else picture.mean(2)
    trace = go.Heatmap(z=grey, colorscale="gray", showscale=False, hoverinfo="skip")
    left.plotly_chart(_square(trace, "The picture"), width="stretch", key=f"picture {name}")
    heat = go.Heatmap(z=summed, colorscale=DIVERGING, zmin=-bound, zmax=bound, showscale=False)
    figure = _square(heat, found.title)
    outline = {"color": "rgba(130,130,140,0.45)"}
    contours = {"coloring": "none"}
    figure.add_trace(
        go.Contour(z=grey, showscale=False, contours=contours, line=outline, ncontours=4, hoverinfo="skip")
    )
    right.plotly_chart(figure, width="stretch", key=f"attribution {name}")


def _square(trace: Any, title: str) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure(trace)
    figure.update_layout(title={"text": title, "x": 0, "font": {"size": 15}}, height=360, margin=MARGIN)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure


def _tokens(values: np.ndarray, labels: tuple[str, ...], name: str) -> None:
    bound = float(np.abs(values).max()) or 1.0
    parts = []
    for label, value in zip(labels, values, strict=False):
        if not label:
            continue
        colour = f"rgba({FOR if value > 0 else AGAINST}, {abs(value) / bound * 0.65:.3f})"
        shown = escape(label).replace("\n", "↵").replace(" ", "&nbsp;")
        title = f"{value:+.4f}"
        parts.append(
            f'<span title="{title}" style="background:{colour};padding:3px 5px;border-radius:5px;margin:1px;'
            f'display:inline-block">{shown}</span>'
        )
    st.html(f'<div style="font-size:1.15rem;line-height:2.1">{"".join(parts)}</div>')
    if len([label for label in labels if label]) <= 40:
        kept = [place for place, label in enumerate(labels) if label]
        _bars(values[kept], tuple(labels[place] for place in kept), name, ordered=False)


def _bars(values: np.ndarray, labels: tuple[str, ...], name: str, *, ordered: bool = True) -> None:
    import plotly.graph_objects as go

    places = np.argsort(-np.abs(values))[:MOST_BARS] if ordered else np.arange(len(values))
    names = [f"{labels[place][:40]}" if place < len(labels) else str(place) for place in places]
    # Two words may be alike; a number that nobody sees keeps their bars apart.
    keys = list(range(len(names)))
    shown = values[places]
    colours = [f"rgb({FOR})" if value > 0 else f"rgb({AGAINST})" for value in shown]
    figure = go.Figure(
        go.Bar(x=shown, y=keys, orientation="h", marker_color=colours, hovertemplate="%{x:.4g}<extra></extra>")
    )
    figure.update_layout(height=70 + 24 * len(names), margin=MARGIN, xaxis_title="Attribution")
    figure.update_yaxes(autorange="reversed", tickmode="array", tickvals=keys, ticktext=names)
    st.plotly_chart(figure, width="stretch", key=f"bars {name}")
    if ordered and len(values) > MOST_BARS:
        st.caption(f"The {MOST_BARS} strongest of {len(values)}.")


def _series(found: Explanation, values: np.ndarray, name: str) -> None:
    import plotly.graph_objects as go

    table = values.reshape(len(values), -1)
    bound = float(np.abs(table).max()) or 1.0
    figure = go.Figure()
    if found.example.series is not None:
        shown = np.asarray(found.example.series)
        for channel in range(shown.shape[1]):
            line = {"color": "rgba(130,130,140,0.7)"}
            figure.add_scatter(y=shown[:, channel], mode="lines", line=line, hoverinfo="skip")
            marker = {
                "size": 9,
                "color": table[:, channel],
                "colorscale": [[0, f"rgb({AGAINST})"], [0.5, "#d4d4d8"], [1, f"rgb({FOR})"]],
                "cmin": -bound,
                "cmax": bound,
            }
            figure.add_scatter(y=shown[:, channel], mode="markers", marker=marker, text=table[:, channel])
    else:
        figure.add_trace(go.Heatmap(z=table.T, colorscale=DIVERGING, zmin=-bound, zmax=bound, showscale=False))
    figure.update_layout(height=320, margin=MARGIN, showlegend=False, xaxis_title="Step")
    st.plotly_chart(figure, width="stretch", key=f"series {name}")


def _attention(maps: AttentionMaps) -> None:
    names = [layer.title for layer in maps.layers]
    options = [*range(len(names)), *([-1] if maps.rollout is not None else [])]
    chosen = st.segmented_control(
        "Layer",
        options,
        default=options[0],
        format_func=lambda place: "Rollout through all" if place < 0 else f"{place + 1}. {names[place]}",
        required=True,
    )
    if chosen == -1 and maps.rollout is not None:
        figure = _map(maps.rollout, maps.tokens, maps.tokens, "Rollout", 440)
        st.plotly_chart(figure, width="stretch", key="rollout")
        return
    layer = maps.layers[int(chosen)]
    sides = layer.looking or maps.tokens, layer.looked_at or maps.tokens
    columns = st.columns(2)
    for head, weights in enumerate(layer.weights):
        figure = _map(weights, *sides, f"Head {head + 1}", 330)
        columns[head % 2].plotly_chart(figure, width="stretch", key=f"head {chosen} {head}")
    st.caption("Each row is a step that looks; the darker a cell, the more of its attention goes to that column.")


def _map(weights: np.ndarray, looking: Sequence[str], looked_at: Sequence[str], title: str, height: int) -> go.Figure:
    """A map whose rows and columns are labelled; those without a label are padding, and left out."""
    import plotly.graph_objects as go

    kept = [[place for place, token in enumerate(side) if token] for side in (looking, looked_at)]
    rows, columns = ([side[place] for place in some] for side, some in zip((looking, looked_at), kept, strict=True))
    weights = weights[np.ix_(*kept)]
    scale = [[0, "rgba(99,102,241,0.03)"], [1, "rgb(79,70,229)"]]
    text = "%{customdata}: %{z:.3f}<extra></extra>"
    pairs = [[f"{row} → {column}" for column in columns] for row in rows]
    figure = go.Figure(
        go.Heatmap(z=weights, colorscale=scale, zmin=0, showscale=False, customdata=pairs, hovertemplate=text)
    )
    figure.update_layout(title={"text": title, "x": 0, "font": {"size": 14}}, height=height, margin=MARGIN)
    ticks: dict[str, Any] = {"tickmode": "array", "showgrid": False, "zeroline": False}
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=columns, **ticks)
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=rows, autorange="reversed", automargin=True, **ticks)
    return figure
