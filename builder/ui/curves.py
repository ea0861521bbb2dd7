"""Curves of a run: its points, kept from one refresh to the next, how people want to see them, and the figures."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from builder.store import Points
from builder.ui.charts import MARGIN, TRAIN, VALIDATION, thin

if TYPE_CHECKING:
    import plotly.graph_objects as go

Axis = Literal["Epoch", "Step", "Time"]
AXES: tuple[Axis, ...] = ("Epoch", "Step", "Time")
FAINT = 0.3


@dataclass
class Curve:
    """One measure of one split, which grows. Smoothing goes on from where it was, as long as it stays the same."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    _weight: float = 0.0
    _mean: float = 0.0
    _smooth: list[float] = field(default_factory=list)

    def smoothed(self, weight: float) -> list[float]:
        """Running means in which every step back counts `weight` times as much, freed of their pull towards 0."""
        if weight != self._weight:
            self._weight, self._mean, self._smooth = weight, 0.0, []
        for value in self.values[len(self._smooth) :]:
            self._mean = weight * self._mean + (1 - weight) * value
            self._smooth.append(self._mean / (1 - weight ** (len(self._smooth) + 1)))
        return self._smooth


Curves = dict[tuple[str, str], Curve]


@dataclass(frozen=True)
class View:
    """How curves are drawn. `smoothing` is from 0 (not at all) to below 1."""

    x: Axis = "Epoch"
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False


PLAIN = View()


def extend(found: Curves, points: Points) -> None:
    """Add points to curves."""
    for step, split, name, value, at in zip(
        points.step, points.split, points.name, points.value, points.at, strict=True
    ):
        curve = found.setdefault((split, name), Curve())
        curve.steps.append(step)
        curve.values.append(value)
        curve.at.append(at)


def choose_view(run_id: str) -> View:
    """The settings of the curves, in a small menu; they stay with this tab of the browser."""
    kept: View = st.session_state.get("curve view", PLAIN)
    with st.popover("View", icon=":material/tune:", help="Axes and smoothing"):
        x = st.segmented_control("Along", AXES, default=kept.x, key=f"curve x {run_id}") or kept.x
        smoothing = st.slider("Smoothing", 0.0, 0.98, kept.smoothing, 0.02, key=f"curve smoothing {run_id}")
        log_y = st.toggle("Logarithmic values", kept.log_y, key=f"curve log y {run_id}")
        log_x = st.toggle("Logarithmic along", kept.log_x, key=f"curve log x {run_id}")
    view = View(x, smoothing, log_x, log_y)
    st.session_state["curve view"] = view
    return view


def curve_chart(found: Curves, name: str, title: str, steps_per_epoch: int, view: View = PLAIN) -> go.Figure:
    """One measure for training and validation; for the loss, the batches' own as a faint line."""
    import plotly.graph_objects as go

    figure = go.Figure()
    began = min((curve.at[0] for curve in found.values() if curve.at), default=0.0)
    length = max((curve.at[-1] for curve in found.values() if curve.at), default=0.0) - began
    seconds, unit = _unit(length) if view.x == "Time" else (1.0, "")

    def along(curve: Curve) -> list[float]:
        if view.x == "Step":
            return [float(step) for step in curve.steps]
        if view.x == "Time":
            return [(at - began) / seconds for at in curve.at]
        return [step / max(steps_per_epoch, 1) for step in curve.steps]

    lines = [("train", name, "train", TRAIN), ("validation", name, "validation", VALIDATION)]
    batches = next((key for key in found if key[0] == "train" and key[1].endswith("batch_loss")), None)
    if name == "loss" and batches is not None:
        lines.insert(0, (*batches, "batches", TRAIN))
    for split, measure, label, colour in lines:
        if (split, measure) in found:
            _line(figure, along(found[split, measure]), found[split, measure], label, colour, view)
    figure.update_layout(
        title={"text": title, "x": 0, "font": {"size": 15}},
        height=320,
        margin=MARGIN,
        xaxis_title=f"Time ({unit})" if unit else view.x,
        xaxis_type="log" if view.log_x else "linear",
        yaxis={"type": "log" if view.log_y else "linear", "exponentformat": "power"},
        hovermode="x unified",
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -0.24, "yanchor": "top"},
        # A zoom stays until points come in, with which Streamlit mounts a chart anew.
        uirevision=f"{view.x} {unit} {view.log_x} {view.log_y}",
    )
    return figure


def _line(figure: go.Figure, x: Sequence[float], curve: Curve, label: str, colour: str, view: View) -> None:
    """A curve; where it is smoothed, as it was measured stands behind it, faintly."""
    faint = label == "batches"
    if view.smoothing:
        _trace(figure, x, curve.values, f"{label} as measured", colour, 1.0, FAINT / 2 if faint else FAINT, hidden=True)
        smooth = curve.smoothed(view.smoothing)
        _trace(figure, x, smooth, label, colour, 1.2 if faint else 2.2, 0.6 if faint else 1.0)
    else:
        _trace(figure, x, curve.values, label, colour, 1.0 if faint else 2.2, 0.45 if faint else 1.0)


def _trace(
    figure: go.Figure,
    x: Sequence[float],
    values: Sequence[float],
    name: str,
    colour: str,
    width: float,
    opacity: float,
    hidden: bool = False,
) -> None:
    along, shown = thin(x, values)
    few = len(shown) <= 30 and width > 2
    figure.add_scatter(
        x=along,
        y=shown,
        name=name,
        mode="lines+markers" if few else "lines",
        line={"color": colour, "width": width},
        opacity=opacity,
        showlegend=not hidden,
        hoverinfo="skip" if hidden else None,
    )


def table(found: Curves) -> str:
    """All points as CSV, split and measure by split and measure."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["split", "measure", "step", "seconds", "value"])
    began = min((curve.at[0] for curve in found.values() if curve.at), default=0.0)
    for (split, name), curve in found.items():
        for step, at, value in zip(curve.steps, curve.at, curve.values, strict=True):
            writer.writerow([split, name, step, f"{at - began:.3f}", repr(value)])
    return text.getvalue()


def _unit(seconds: float) -> tuple[float, str]:
    """The unit in which a length of time is read, in seconds, and its name."""
    return next((found for found in ((3_600.0, "h"), (60.0, "min")) if seconds > 2 * found[0]), (1.0, "s"))


def sparkline(values: Sequence[float], text: str) -> None:
    """A few numbers as a small line beside a text."""
    from html import escape

    top = max(values) or 1.0
    apart = 90 / max(len(values) - 1, 1)
    points = " ".join(f"{apart * place:.1f},{22 - 20 * value / top:.1f}" for place, value in enumerate(values))
    drawn = f'<polyline points="{points}" fill="none" stroke="{TRAIN}" stroke-width="1.5"/>'
    st.html(
        f'<div style="display:flex;align-items:center;justify-content:flex-end;gap:8px;font-size:0.8rem;opacity:0.75">'
        f"{drawing(drawn, 90, 24, text, 'flex:0 1 90px;min-width:0')}{escape(text)}</div>"
    )


def drawing(shapes: str, width: int, height: int, text: str, style: str = "") -> str:
    """Shapes of SVG as an image of HTML, which lets through no others; `text` says what it shows."""
    from html import escape

    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{shapes}</svg>'
    data = base64.b64encode(whole.encode()).decode()
    size = f'width="{width}" height="{height}" style="display:block;{style}"'
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(text)}" {size}>'


def download(found: Curves, run_id: str) -> None:
    """The points as a file, which is written when it is asked for."""
    arguments: dict[str, Any] = {"on_click": "ignore", "key": f"csv {run_id}", "help": "All points as a table"}
    st.download_button(
        "CSV", lambda: table(found), f"curves-{run_id[:8]}.csv", "text/csv", icon=":material/download:", **arguments
    )
