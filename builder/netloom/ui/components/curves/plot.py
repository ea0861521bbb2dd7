"""The curves of a run as they are drawn: a component that is sent only the points that it does not have yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from netloom.runs.history.setting_changes import change_label
from netloom.store.run_summary import SettingChange
from netloom.ui.components.charts import thin
from netloom.ui.components.component_loader import component
from netloom.ui.components.curves.curve import Curve, Curves
from netloom.ui.components.curves.state import CurvesState, View
from netloom.ui.components.state import Key

# Points are sent with so many looks in a row, as a browser that is busy leaves some out; from one that lacks more
# than that comes a word, and it is sent everything.
TIMES = 3
# Of a longer past, each stretch is told by its lowest and its highest point.
MOST = 20_000
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
    """One chart for each measure (name, title), with training and validation; for the loss, the batches' own too.

    Each of the `changes` of a setting during the run is a vertical line with a label.
    `message` stands in charts that have no points. `run` changes where points were taken back, as by a resume: then
    nothing of what a browser has counts any more.
    """
    data = {
        "run": run,
        "charts": [{"title": title, "lines": lines(curves, name)} for name, title in charts],
        "perEpoch": max(steps_per_epoch, 1),
        "epochs": next((_name(key) for key in curves if key[0] == "validation"), ""),
        "view": {"x": view.x, "smoothing": view.smoothing, "log_x": view.log_x, "log_y": view.log_y},
        "message": message,
        "changes": [
            {"text": change_label(change), "step": change["step"], "at": round(change["at"], 2)} for change in changes
        ],
        **unsent(curves, run),
    }
    _component()(key=Key.CURVES, data=data, height="content", on_missing_change=send_again)


def lines(curves: Curves, name: str) -> list[tuple[str, str, str]]:
    """The lines of a measure's chart: how each is called, which curve it is, and whose colour it has."""
    series = [("train", f"train/{name}", "train"), ("validation", f"validation/{name}", "validation")]
    batches = next((_name(key) for key in curves if key[0] == "train" and key[1].endswith("batch_loss")), None)
    if name == "loss" and batches:
        series.insert(0, ("batches", batches, "train"))
    return series


def unsent(curves: Curves, run: str) -> dict[str, Any]:
    """The points that this tab's browser may lack, and the number of times that it was sent everything."""
    sent = CurvesState.current().sent
    if sent.run != run or not sent.looks:
        # Everything, too, is sent so many times: the first looks are over before a browser has loaded what draws them.
        sent.run, sent.looks, sent.times = run, deque([{}] * TIMES, maxlen=TIMES), sent.times + 1
    latest = sent.looks[0]
    points = {_name(key): _part(curve, latest.get(_name(key), 0)) for key, curve in curves.items()}
    counts = {_name(key): len(curve.steps) for key, curve in curves.items()}
    sent.looks.append(counts)
    # By the counts a browser knows that it lacks points, also where none are sent any more.
    new = {name: part for name, part in points.items() if part["count"]}
    return {"points": new, "counts": counts, "asked": sent.times}


def _part(curve: Curve, start: int) -> dict[str, Any]:
    """What comes after the first `start` points, with as many digits as are seen."""
    count = len(curve.steps) - start
    places: Sequence[int] = range(start, start + count)
    if count > MOST:
        places, _ = thin(places, curve.values[start:], MOST)
    return {
        "from": start,
        "count": count,
        "steps": [curve.steps[place] for place in places],
        "at": [round(curve.at[place], 2) for place in places],
        "values": [float(f"{curve.values[place]:.6g}") for place in places],
    }


def _name(key: tuple[str, str]) -> str:
    return "/".join(key)


def send_again() -> None:
    """The browser lacks points, as one whose page was asleep: it is sent everything again."""
    CurvesState.current().sent.looks = deque()


@cache
def _component() -> Any:
    # Registered when first shown: with files of its own, a component cannot be registered before Streamlit runs.
    return component("curves", "ui/components/curves/served", "curves.js", html=HTML)
