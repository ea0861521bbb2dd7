"""The statistics of the layers of a run: a heatmap of layers by steps, and a line per layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.store import RunArtifacts
from netloom.training.diagnostics import History, read_history
from netloom.training.diagnostics.statistics_file import stamp
from netloom.ui.components.charts.charts import MARGIN, category_names, described
from netloom.ui.train.state import Key, ReadFile, TrainState

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS, LINES = 160, 12
SCALE = "Viridis"
# From the first layer to the last; visible on white and on black.
TONES = ["#6366f1", "#0ea5e9", "#10b981", "#f59e0b", "#e11d48"]


@dataclass(frozen=True)
class Kind:
    """A statistic: its name in the history, whether its scale is logarithmic (`powers`), and its description."""

    measure: str
    powers: bool
    text: str


KINDS = {
    "Gradient": Kind(
        "gradient",
        True,
        "Gradient norm before clipping. If it is far smaller in the first layers, gradients vanish.",
    ),
    "Update": Kind("update", True, "Size of one update relative to the norm of the weights. About 0.001 is typical."),
    "Weights": Kind("weight", True, "Norm of all weights of a layer."),
    "Mean": Kind("mean", False, "Mean of the activations of a layer for a batch."),
    "Std": Kind("std", True, "Standard deviation of the activations of a layer for a batch."),
    "Zeros": Kind("zeros", False, "Share of activations that are exactly 0."),
    "Dead units": Kind("dead", False, "Share of ReLU-like units that are 0 for every row of a batch."),
}


def layer_statistics(artifacts: RunArtifacts, run_id: str, steps_per_epoch: int) -> None:
    """Draw the statistics of the layers of a run."""
    history = _history(artifacts)
    if history is None or not len(history.steps):
        st.caption("The first layer statistics appear in a moment.")
        return
    name = st.segmented_control("Show", list(KINDS), default="Gradient", key=Key.LAYERS.of(run_id)) or "Gradient"
    kind = KINDS[name]
    st.caption(kind.text)
    values = history.of(kind.measure)
    with_values = np.flatnonzero(np.isfinite(values).any(0))
    if not len(with_values):
        st.caption("No layer of this network has this statistic.")
        return
    at = history.steps / max(steps_per_epoch, 1)
    titles = [history.places[layer_index].name for layer_index in with_values]
    for key, figure in (
        (Key.LAYER_HEATMAP, heatmap(at, values[:, with_values], titles, kind)),
        (Key.LAYER_LINES, lines(at, values[:, with_values], titles, kind)),
    ):
        alt = described(figure, f"{name.lower()} of each layer")
        st.plotly_chart(figure, width="stretch", config={"displayModeBar": False}, key=key.of(run_id, name), alt=alt)


def heatmap(at: np.ndarray, values: np.ndarray, titles: list[str], kind: Kind) -> go.Figure:
    """Return a heatmap of layers, the first on top, by epochs; `values` is (records, layers)."""
    import plotly.graph_objects as go

    few = _evenly(len(at), COLUMNS)
    cells = values[few].T.astype(np.float64)
    colors = _powers(cells) if kind.powers else cells
    trace = {
        "type": "heatmap",
        "x": np.round(at[few], 4),
        "y": category_names(titles, 28),
        "z": np.round(colors, 4),
        "text": _written(cells),
        "colorscale": SCALE,
        "hovertemplate": "%{y}<br>epoch %{x:.2f}: %{text}<extra></extra>",
        "colorbar": {"thickness": 10, "outlinewidth": 0, **_ticks(colors, kind.powers)},
    }
    layout = {
        "height": max(180, min(620, 80 + 22 * len(titles))),
        "margin": {**MARGIN, "t": 8},
        "xaxis": {"title": "Epoch", "showgrid": False},
        "yaxis": {"autorange": "reversed", "showgrid": False, "type": "category"},
        "uirevision": kind.measure,
    }
    return go.Figure([trace], layout)


def lines(at: np.ndarray, values: np.ndarray, titles: list[str], kind: Kind) -> go.Figure:
    """Return the same statistic as lines, of at most `LINES` layers from the first to the last."""
    import plotly.graph_objects as go
    from plotly.colors import sample_colorscale

    layers, few = _evenly(len(titles), LINES), _evenly(len(at), 4 * COLUMNS)
    tones = sample_colorscale(TONES, [layer_index / max(len(layers) - 1, 1) for layer_index in range(len(layers))])
    short, curves = category_names(titles, 28), values[few]
    if kind.powers:  # a logarithmic axis cannot show 0
        curves = np.where(curves > 0, curves, np.nan)
    traces = [
        {
            "type": "scatter",
            "x": np.round(at[few], 4),
            "y": _rounded(curves[:, layer_index]),
            "name": short[layer_index],
            "mode": "lines" if len(few) > 2 else "lines+markers",
            "line": {"color": tone, "width": 1.6},
        }
        for tone, layer_index in zip(tones, layers.tolist(), strict=True)
    ]
    layout = {
        "height": 300,
        "margin": {**MARGIN, "t": 8},
        "xaxis": {"title": "Epoch"},
        "yaxis": _axis(curves[:, layers]) if kind.powers else {},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top"},
        "uirevision": kind.measure,
    }
    return go.Figure(traces, layout)


def _history(artifacts: RunArtifacts) -> History | None:
    """Return the history of a run, which is read again only if its file has changed."""
    state, current_stamp = TrainState.current(), (artifacts.run_id, stamp(artifacts))
    if state.layer_history.stamp != current_stamp:
        state.layer_history = ReadFile(current_stamp, read_history(artifacts))
    return state.layer_history.content


def _evenly(count: int, most: int) -> np.ndarray:
    """Return at most `most` evenly spaced indices below `count`, with the first and the last."""
    indices: np.ndarray = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    return indices


def _powers(values: np.ndarray) -> np.ndarray:
    """Return log10 of the values, at least the largest less 12, so that tiny values do not compress the colors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(values)
    top = np.nanmax(powers[np.isfinite(powers)], initial=-np.inf)
    bounded: np.ndarray = np.where(np.isnan(values), np.nan, np.maximum(powers, top - 12) if np.isfinite(top) else 0.0)
    return bounded


def _ticks(colors: np.ndarray, powers: bool) -> dict[str, Any]:
    """Return the ticks of the color bar: four values instead of their logarithms."""
    finite = colors[np.isfinite(colors)]
    positions = np.linspace(finite.min(), finite.max(), 4).tolist() if len(finite) else []
    texts = [f"{10**exponent if powers else exponent:.1g}" for exponent in positions]
    return {"tickvals": positions, "ticktext": texts}


def _axis(values: np.ndarray) -> dict[str, Any]:
    """Return a logarithmic axis; with ticks at 2 and 5 if the values span less than two powers of ten."""
    finite = values[np.isfinite(values)]
    wide = len(finite) > 0 and finite.max() > 100 * finite.min()
    return (
        {"type": "log", "exponentformat": "power", "dtick": 1}
        if wide
        else {"type": "log", "tickformat": "~g", "dtick": "D2"}
    )


def _written(values: np.ndarray) -> list[list[str]]:
    return [[f"{value:.3g}" for value in row] for row in values.tolist()]


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
