"""The curve points sent to the browser: all of them once, then only those it may lack."""

from __future__ import annotations

from typing import Any

import pytest
import streamlit as st

from netloom.ui.components.curves.curve import Curve, Curves
from netloom.ui.components.curves.plot import MAX_POINTS, REPETITIONS, lines, send_again, unsent


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    session_state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", session_state)
    return session_state


def add_points(curves: Curves, count: int) -> None:
    curve = curves.setdefault(("train", "loss"), Curve())
    for _ in range(count):
        step = len(curve.steps) + 1
        curve.steps.append(step)
        curve.values.append(1 / step)
        curve.at.append(1000 + step / 3)


def apply_update(known_steps: list[int], update: dict[str, Any]) -> bool:
    """Apply an update as the browser does. Returns False if points are missing."""
    for part in update["points"].values():
        if part["from"] > len(known_steps):
            return False
        known_steps += part["steps"][len(known_steps) - part["from"] :]
    return True


def test_browser_with_skipped_updates_receives_every_point() -> None:
    curves, known_steps = Curves(), list[int]()
    for update_number in range(20):
        add_points(curves, 1 + update_number % 3)
        update = unsent(curves, "run")
        if update_number % REPETITIONS == 0:  # the browser skips the other updates
            assert apply_update(known_steps, update)
    apply_update(known_steps, unsent(curves, "run"))
    assert known_steps == curves["train", "loss"].steps


def test_late_browser_receives_every_point_or_their_count() -> None:
    curves = Curves()
    add_points(curves, 50)
    for updates_missed in range(REPETITIONS):
        update, known_steps = unsent(curves, "run"), list[int]()
        assert apply_update(known_steps, update), updates_missed
        assert known_steps == curves["train", "loss"].steps
    assert unsent(curves, "run") == {"points": {}, "counts": {"train/loss": 50}, "sends": 1}
    send_again()
    assert unsent(curves, "run")["points"]["train/loss"]["count"] == 50


def test_update_size_is_independent_of_run_length() -> None:
    curves = Curves()
    add_points(curves, 5_000)
    assert len(unsent(curves, "run")["points"]["train/loss"]["steps"]) == 5_000
    for _ in range(5):
        add_points(curves, 2)
        update = unsent(curves, "run")
    assert len(update["points"]["train/loss"]["steps"]) == 2 * REPETITIONS
    for _ in range(REPETITIONS):
        update = unsent(curves, "run")
    assert not update["points"]


def test_all_points_are_resent_on_request_and_after_resume() -> None:
    curves = Curves()
    add_points(curves, 10)
    first = unsent(curves, "run")
    send_again()
    resent = unsent(curves, "run")
    assert resent["points"] == first["points"]
    assert resent["sends"] == first["sends"] + 1  # lets a browser request missing points again
    resumed = unsent(curves, "run, resumed")
    assert resumed["points"] == first["points"]


def test_long_history_is_downsampled_but_fully_counted() -> None:
    curves = Curves()
    add_points(curves, 3 * MAX_POINTS)
    part = unsent(curves, "run")["points"]["train/loss"]
    assert part["count"] == 3 * MAX_POINTS
    assert len(part["steps"]) <= MAX_POINTS + 1
    assert (part["steps"][0], part["steps"][-1]) == (1, 3 * MAX_POINTS)
    for _ in range(REPETITIONS - 1):
        unsent(curves, "run")
    add_points(curves, 1)
    assert unsent(curves, "run")["points"]["train/loss"]["from"] == 3 * MAX_POINTS


def test_batch_loss_is_drawn_only_behind_a_comparable_loss() -> None:
    curves: Curves = {("train", "batch_loss"): Curve(), ("train", "loss"): Curve()}
    assert [label for label, _, _ in lines(curves, "loss")] == ["batches", "train", "validation"]
    assert [label for label, _, _ in lines(curves, "accuracy")] == ["train", "validation"]
    adversarial_curves: Curves = {("train", "turns_loss"): Curve(), ("train", "loss"): Curve()}
    assert [label for label, _, _ in lines(adversarial_curves, "loss")] == ["train", "validation"]
