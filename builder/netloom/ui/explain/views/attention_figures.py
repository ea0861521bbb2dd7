"""The figures of the Attention view, each made once for a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain import AttentionLayer, AttentionMaps, Explanation
from netloom.explain.plots.attention import attention_lines, hidden_lines_note
from netloom.explain.plots.colors import AGAINST, FOR, bound, rgb
from netloom.explain.plots.explanation_plots import Plot, PlotOptions, explanation_plots
from netloom.ui.components.charts.charts import MARGIN
from netloom.ui.components.figure_export import written
from netloom.ui.components.once_per_result import once_per_result
from netloom.ui.explain.views.attention_components import pairs_table, sides
from netloom.ui.explain.views.attention_sentence import ranked_heads

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_BARS = 24
MEAN = -1


@once_per_result
def relevance_plots(explanation: Explanation) -> list[Plot]:
    """Return the plots of an explanation; for a text only the colored words."""
    panels = list(explanation_plots(explanation, PlotOptions(sign="for", words_only=True)))
    return [panel for panel in panels if panel.html] or panels


@once_per_result
def ablation_chart(maps: AttentionMaps) -> tuple[go.Figure, str, int]:
    """Return the chart of the strongest heads, the CSV file of all heads, and their number."""
    import plotly.graph_objects as go

    ranked = ranked_heads(maps)[:MAX_BARS]
    slopes = [float(maps.layers[layer].slopes[head]) for (layer, head), _ in ranked]  # type: ignore[index]
    names = [f"layer {layer + 1} · head {head + 1}" for (layer, head), _ in ranked]
    effects = [effect for _, effect in ranked]
    colors = [rgb(FOR) if effect > 0 else rgb(AGAINST) for effect in effects]
    shared = {"y": names, "hovertemplate": "%{x:+.3g}<extra>%{y}</extra>"}
    mark = {"symbol": "line-ns", "size": 13, "line": {"width": 2.5, "color": "rgba(130,130,140,0.9)"}}
    traces = [
        {"type": "bar", "x": effects, "orientation": "h", "marker": {"color": colors}, "name": "ablation", **shared},
        {"type": "scatter", "x": slopes, "mode": "markers", "marker": mark, "name": "gradient estimate", **shared},
    ]
    layout = {
        "height": 100 + 22 * len(names),
        "margin": MARGIN,
        "showlegend": False,
        "xaxis": {"title": "Decrease of the score<br>without the head", "zeroline": True},
        "yaxis": {"autorange": "reversed", "automargin": True},
    }
    rows = [
        {"layer": index + 1, "title": layer.title, "head": head + 1, "effect": float(effect), "gradient": float(slope)}
        for index, layer in enumerate(maps.layers)
        if layer.effects is not None and layer.slopes is not None
        for head, (effect, slope) in enumerate(zip(layer.effects, layer.slopes, strict=True))
    ]
    return go.Figure(traces, layout), written(rows), len(rows)


def head_weights(layer: AttentionLayer, head: int) -> np.ndarray:
    """Return the weights (T, S) of a head, or their mean over the heads."""
    weights: np.ndarray = layer.weights.mean(axis=0) if head == MEAN else layer.weights[head]
    return weights


@once_per_result
def pairs_file(maps: AttentionMaps, layer_index: int, head: int) -> str:
    """Return the CSV file of the weights of all pairs of positions."""
    layer = maps.layers[layer_index]
    return written(pairs_table(head_weights(layer, head), *sides(maps, layer)))


@once_per_result
def lines_svg(maps: AttentionMaps, layer_index: int, head: int) -> tuple[str, str]:
    """Return the lines between positions as SVG, and which of them are not drawn, as a sentence."""
    layer = maps.layers[layer_index]
    weights, labels = head_weights(layer, head), sides(maps, layer)
    return attention_lines(weights, *labels), hidden_lines_note(weights, *labels)


@once_per_result
def head_map(maps: AttentionMaps, layer_index: int, head: int) -> go.Figure:
    layer = maps.layers[layer_index]
    return heat(head_weights(layer, head), *sides(maps, layer))


@once_per_result
def rollout_map(maps: AttentionMaps) -> tuple[go.Figure, str]:
    """Return the map of all layers combined, and its CSV file."""
    assert maps.rollout is not None
    labels = [token for stream in maps.streams for token in stream.tokens]
    return heat(maps.rollout, labels, labels), written(pairs_table(maps.rollout, labels, labels))


def heat(weights: np.ndarray, query_labels: Sequence[str], key_labels: Sequence[str]) -> go.Figure:
    """Return a labeled heatmap of attention; positions without a label are padding and omitted."""
    import plotly.graph_objects as go

    with_token = [[index for index, token in enumerate(side) if token] for side in (query_labels, key_labels)]
    rows, columns = (
        [side[index] for index in some] for side, some in zip((query_labels, key_labels), with_token, strict=True)
    )
    values = weights[np.ix_(*with_token)]
    end, pairs = bound(values), [[f"{row} → {column}" for column in columns] for row in rows]
    scale = [[0, rgb(AGAINST)], [0.5, "rgba(150,150,160,0.04)"], [1, rgb(FOR)]]
    text = "%{customdata}: %{z:.3f}<extra></extra>"
    trace = {
        "type": "heatmap",
        "z": values,
        "colorscale": scale,
        "zmin": -end,
        "zmax": end,
        "showscale": False,
        "customdata": np.array(pairs),  # Plotly copies an array at once, and nested lists item by item
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": text,
    }
    layout = {
        "height": int(np.clip(90 + 22 * len(rows), 260, 620)),
        "margin": MARGIN,
        "xaxis": _token_axis(columns),
        "yaxis": {**_token_axis(rows), "autorange": "reversed"},
    }
    return go.Figure([trace], layout)


def _token_axis(names: Sequence[str]) -> dict[str, Any]:
    """Return an axis with tokens.

    Cells are at their positions, with tokens as tick texts: as categories, equal tokens would share one row.
    """
    ticks = list(range(0, len(names), max(1, len(names) // 40)))
    labels = [names[tick].replace("\n", "↵")[:18] for tick in ticks]
    ticked = {"tickmode": "array", "tickvals": ticks, "ticktext": labels}
    return {**ticked, "showgrid": False, "zeroline": False, "automargin": True}
