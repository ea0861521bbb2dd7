"""The plot of the curves of a run: a component that receives only the points that it lacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from netloom.runs.history.setting_changes import change_label
from netloom.store.run_summary import SettingChange
from netloom.tasks import metric
from netloom.tasks.training_losses import TRAINING_LOSSES
from netloom.ui.components.charts.charts import thin
from netloom.ui.components.component_loader import component
from netloom.ui.components.curves.curve import Curve, Curves
from netloom.ui.components.curves.state import CurvesState, View
from netloom.ui.components.state import Key

# Points are sent with this many reruns in a row, because a busy browser skips some. A browser that lacks older points
# reports it, and everything is sent again.
REPETITIONS = 3
# Longer curves are reduced to the lowest and highest points of stretches.
MAX_POINTS = 20_000
HTML = '<div class="curves" data-part="curves"></div>'


def plot(
    curves: Curves,
    run: str,
    charts: Sequence[tuple[str, str]],
    steps_per_epoch: int,
    view: View,
    message: str,
    changes: Sequence[SettingChange] = (),
) -> None:
    """Draw a chart for each metric (name, title) of training and validation; for the loss, also of the batches.

    Args:
        run: An identifier that changes when points are deleted, as by a resume; the browser then drops its points.
        message: The text in charts without points.
        changes: Changes of settings during the run, drawn as labeled vertical lines.
    """
    data = {
        "run": run,
        "charts": [
            {"title": title, "lines": lines(curves, name), "percentage": metric(name).is_percentage}
            for name, title in charts
        ],
        "perEpoch": max(steps_per_epoch, 1),
        "epochs": _end_of_epoch_curve(curves),
        "view": {"x": view.x, "smoothing": view.smoothing, "log_x": view.log_x, "log_y": view.log_y},
        "message": message,
        "changes": [
            {"text": change_label(change), "step": change.step, "at": round(change.at, 2)} for change in changes
        ],
        **unsent(curves, run),
    }
    _component()(key=Key.CURVES, data=data, height="content", on_missing_change=send_again)


def _end_of_epoch_curve(curves: Curves) -> str:
    """Return the name of a curve with a point per epoch: of the training rows in a run without validation rows."""
    keys = [key for key in curves if key[1] not in TRAINING_LOSSES]
    return next((_name(key) for key in sorted(keys, key=lambda key: key[0] != "validation")), "")


def lines(curves: Curves, name: str) -> list[tuple[str, str, str]]:
    """Return the lines of a metric's chart as (label, name of the curve, split whose color it has)."""
    series = [("train", f"train/{name}", "train"), ("validation", f"validation/{name}", "validation")]
    batches = next((_name(key) for key in curves if key[0] == "train" and key[1].endswith("batch_loss")), None)
    if name == "loss" and batches:
        series.insert(0, ("batches", batches, "train"))
    return series


def unsent(curves: Curves, run: str) -> dict[str, Any]:
    """Return the points that the browser of this tab may lack, and the number of full sends."""
    sent = CurvesState.current().sent
    if sent.run != run or not sent.counts:
        # A full send is repeated as well: the first reruns end before a browser has loaded the component.
        sent.run, sent.counts, sent.sends = run, deque([{}] * REPETITIONS, maxlen=REPETITIONS), sent.sends + 1
    latest = sent.counts[0]
    points = {_name(key): _part(curve, latest.get(_name(key), 0)) for key, curve in curves.items()}
    counts = {_name(key): len(curve.steps) for key, curve in curves.items()}
    sent.counts.append(counts)
    # The counts tell a browser that it lacks points, even if none are sent any more.
    new = {name: part for name, part in points.items() if part["count"]}
    return {"points": new, "counts": counts, "sends": sent.sends}


def _part(curve: Curve, start: int) -> dict[str, Any]:
    """Return the points after the first `start`, rounded to visible precision."""
    count = len(curve.steps) - start
    indices: Sequence[int] = range(start, start + count)
    if count > MAX_POINTS:
        indices, _ = thin(indices, curve.values[start:], MAX_POINTS)
    return {
        "from": start,
        "count": count,
        "steps": [curve.steps[index] for index in indices],
        "at": [round(curve.at[index], 2) for index in indices],
        "values": [float(f"{curve.values[index]:.6g}") for index in indices],
    }


def _name(key: tuple[str, str]) -> str:
    return "/".join(key)


def send_again() -> None:
    """Send all points again: the browser lacks some, such as after its tab was asleep."""
    CurvesState.current().sent.counts = deque()


@cache
def _component() -> Any:
    # Registered when first shown: with files of its own, a component cannot be registered before Streamlit runs.
    return component("curves", "ui/components/curves/served", "curves.js", html=HTML)
