"""The curves of a run: points that are kept between refreshes, and view settings."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from netloom.store import Points
from netloom.ui.components.charts.charts import TRAIN
from netloom.ui.components.curves.state import Axis, CurvesState, View
from netloom.ui.components.state import Key

AXES: tuple[Axis, ...] = ("Epoch", "Step", "Time")


@dataclass
class Curve:
    """One metric of one split: steps, values, and times in seconds since 1970."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


Curves = dict[tuple[str, str], Curve]


PLAIN = View()


def extend(curves: Curves, points: Points) -> None:
    """Add points to curves."""
    for step, split, name, value, at in zip(
        points.step, points.split, points.name, points.value, points.at, strict=True
    ):
        curve = curves.setdefault((split, name), Curve())
        curve.steps.append(step)
        curve.values.append(value)
        curve.at.append(at)


def choose_view(run_id: str) -> View:
    """Draw the view settings in a popover, and return them; they are kept per browser tab."""
    state = CurvesState.current()
    stored = state.view
    with st.popover("View", icon=":material/tune:", help="Axes and smoothing"):
        x = st.segmented_control("x-axis", AXES, default=stored.x, key=Key.CURVE_X.of(run_id)) or stored.x
        smoothing = st.slider("Smoothing", 0.0, 0.98, stored.smoothing, 0.02, key=Key.CURVE_SMOOTHING.of(run_id))
        log_y = st.toggle("Log scale (y)", stored.log_y, key=Key.CURVE_LOG_Y.of(run_id))
        log_x = st.toggle("Log scale (x)", stored.log_x, key=Key.CURVE_LOG_X.of(run_id))
    view = View(x, smoothing, log_x, log_y)
    state.view = view
    return view


def table(curves: Curves) -> str:
    """Return all points as CSV, grouped by split and metric."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["split", "measure", "step", "seconds", "value"])
    began = min((curve.at[0] for curve in curves.values() if curve.at), default=0.0)
    for (split, name), curve in curves.items():
        for step, at, value in zip(curve.steps, curve.at, curve.values, strict=True):
            writer.writerow([split, name, step, f"{at - began:.3f}", repr(value)])
    return text.getvalue()


def sparkline(values: Sequence[float], text: str) -> str:
    """Return a small line chart of a few numbers as HTML; `text` is its alternative text."""
    top = max(values) or 1.0
    apart = 48 / max(len(values) - 1, 1)
    points = " ".join(f"{apart * index:.1f},{16 - 14 * value / top:.1f}" for index, value in enumerate(values))
    drawn = f'<polyline points="{points}" fill="none" stroke="{TRAIN}" stroke-width="1.5"/>'
    return drawing(drawn, 48, 18, text, "flex:0 1 48px;min-width:0")


def drawing(shapes: str, width: int, height: int, text: str, style: str = "") -> str:
    """Return SVG shapes as an HTML image, because `st.html` removes inline SVG; `text` is the alternative text."""
    from html import escape

    box = f'viewBox="0 0 {width} {height}" preserveAspectRatio="none"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{shapes}</svg>'
    data = base64.b64encode(svg.encode()).decode()
    size = f'width="{width}" height="{height}" style="display:block;{style}"'
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(text)}" {size}>'


def download(curves: Curves, run_id: str) -> None:
    """Draw a button that downloads the points; the file is created on click."""
    arguments: dict[str, Any] = {"on_click": "ignore", "key": Key.CURVE_CSV.of(run_id), "help": "All points as a table"}
    st.download_button(
        "CSV", lambda: table(curves), f"curves-{run_id[:8]}.csv", "text/csv", icon=":material/download:", **arguments
    )
