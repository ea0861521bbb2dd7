"""Plots of embedding maps: rows in the plane, colored by label or prediction, and the separation of labels by layer."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.text import cut, distinct, without_markup
from netloom.explain.plots import figures
from netloom.explain.plots.colors import FOR, rgb
from netloom.explain.plots.global_plots import ABOVE, HEIGHTS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.explain.dataset.embedding_map import EmbeddingMap

OTHER = "#8b8b93"
# The ten categorical colors of D3, which are legible on white and on black.
COLORS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
HEIGHT = 460


def plane(embeddings: EmbeddingMap, texts: tuple[str, ...], marked: int | None = None) -> go.Figure:
    """Draw the rows in the plane, colored by `texts` (labels or predictions), or by label if labels are numbers.

    Wrong predictions are crosses. `marked` is a row number with a ring, whose nearest rows have thin ones.
    """
    import plotly.graph_objects as go

    wrong = np.zeros(len(embeddings.rows), bool) if embeddings.is_wrong is None else embeddings.is_wrong
    base = {
        "type": "scatter",
        "mode": "markers",
        "hovertemplate": "row %{customdata[0]}<br>label %{customdata[1]}%{customdata[2]}<extra></extra>",
    }
    traces = []
    for name, color, members in _groups(embeddings, texts):
        chosen = members[np.argsort(wrong[members], kind="stable")]  # the legend has the symbol of the first one
        marker: dict[str, object] = {
            "size": np.where(wrong[chosen], 9, 6),
            "symbol": np.where(wrong[chosen], *_symbols(color)),
        }
        marker |= {"opacity": 0.8, "color": color}
        if not isinstance(color, str):
            marker |= {
                "colorscale": HEIGHTS,
                "colorbar": {
                    "title": {"text": "Label", "side": "right"},
                    "thickness": 9,
                    "outlinewidth": 0,
                    "len": 0.9,
                },
            }
        traces.append(
            {
                **base,
                "x": embeddings.points[chosen, 0],
                "y": embeddings.points[chosen, 1],
                "name": name,
                "showlegend": bool(name),
                "customdata": _hover(embeddings, chosen),
                "marker": marker,
                # A click selects a row; the others are not faded, as the map is still about all of them.
                "unselected": {"marker": {"opacity": 0.8}},
            }
        )
    traces += _rings(embeddings, marked)
    layout = {
        "height": HEIGHT,
        "margin": figures.MARGIN,
        "legend": ABOVE,
        "clickmode": "event+select",
        "dragmode": False,  # a finger scrolls the page
        "xaxis": _axis(embeddings, 0),
        "yaxis": _axis(embeddings, 1),
    }
    return go.Figure(traces, layout)


def _groups(embeddings: EmbeddingMap, texts: tuple[str, ...]) -> list[tuple[str, str | np.ndarray, np.ndarray]]:
    """Return the name, the color and the indices of each group of points."""
    everything = np.arange(len(embeddings.rows))
    if embeddings.values is not None:
        return [("", embeddings.values, everything)]
    counts = Counter(texts)
    if len(counts) > len(texts) // 2:  # texts of their own, such as answers, do not form groups
        return [("", COLORS[0], everything)]
    names = np.array(texts)
    # A class has the same color as a label and as a prediction, and the most frequent labels have one.
    labels = [name for name, _ in Counter(embeddings.labels).most_common(len(COLORS))]
    others = [name for name, _ in counts.most_common() if name not in labels]
    shown = [*sorted(labels), *others][: len(COLORS)]
    groups: list[tuple[str, str | np.ndarray, np.ndarray]] = [
        (without_markup(short), color, np.flatnonzero(names == name))
        for name, short, color in zip(shown, distinct(shown, 24), COLORS, strict=False)
        if name in counts
    ]
    rest = np.flatnonzero(~np.isin(names, shown))
    return [("others", OTHER, rest), *groups] if len(rest) else groups


def _symbols(color: str | np.ndarray) -> tuple[str, str]:
    """Return the symbols of wrong and of right predictions. Those of other classes are open, because the color of a
    class is similar."""
    is_other = isinstance(color, str) and color == OTHER
    return ("x-open", "circle-open") if is_other else ("x", "circle")


def _hover(embeddings: EmbeddingMap, chosen: np.ndarray) -> list[list[object]]:
    return [
        [
            int(embeddings.rows[index]),
            without_markup(cut(embeddings.labels[index], 60)),
            f"<br>predicted {without_markup(cut(embeddings.predictions[index], 60))}" if embeddings.predictions else "",
        ]
        for index in chosen
    ]


def _rings(embeddings: EmbeddingMap, marked: int | None) -> list[dict[str, object]]:
    if marked is None:
        return []
    index_of = {int(row): index for index, row in enumerate(embeddings.rows)}
    nearest = [index_of[int(row)] for row in embeddings.neighbors[index_of[marked]]]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": embeddings.points[indices, 0],
            "y": embeddings.points[indices, 1],
            "name": name,
            "hoverinfo": "skip",
            "marker": {
                "size": size, "symbol": "circle-open", "color": rgb(FOR) if width > 2 else figures.GRAY,
                "line": {"width": width},
            },
        }
        for name, indices, size, width in ((f"row {marked}", [index_of[marked]], 18, 3), ("nearest", nearest, 13, 1.5))
    ]  # fmt: skip


def _axis(embeddings: EmbeddingMap, number: int) -> dict[str, object]:
    """The axes of t-SNE have no unit, and only the distances of near points matter."""
    if embeddings.explained_variance is None:
        return {"showticklabels": False, "zeroline": False, "title": ""}
    share = embeddings.explained_variance[number]
    return {"title": f"Component {number + 1} ({share:.0%} of the variance)", "zeroline": False}


def by_layer(embeddings: EmbeddingMap) -> go.Figure:
    """Draw the score of each layer as bars, with the score without a layer as a line."""
    import plotly.graph_objects as go

    names = [without_markup(cut(layer.title, 36)) for layer in embeddings.separation]
    keys = list(range(len(names)))
    colors = [rgb(FOR) if layer.path == embeddings.path else OTHER for layer in embeddings.separation]
    trace = {
        "type": "bar",
        "x": [layer.score for layer in embeddings.separation],
        "y": keys,
        "orientation": "h",
        "customdata": names,
        "marker": {"color": colors},
        "hovertemplate": "%{customdata}: %{x:.3g}<extra></extra>",
    }
    is_share = embeddings.values is None
    layout = {
        "height": 96 + 28 * len(names),
        "margin": figures.MARGIN,
        "minreducedheight": 28,  # for one bar; by default, Plotly draws the title of the axis over its ticks instead
        "xaxis": {"title": "Accuracy" if is_share else "R²"}
        | ({"tickformat": ".0%", "range": [0, 1]} if is_share else {}),
        "yaxis": figures.named_rows(names),
        "shapes": [figures.vertical_line(embeddings.chance, {"color": figures.GRAY, "width": 1, "dash": "dash"})],
    }
    return go.Figure([trace], layout)
