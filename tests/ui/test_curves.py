"""What the browser is sent of a run's curves: everything once, and then only what it may lack."""

from __future__ import annotations

from typing import Any

import pytest
import streamlit as st

from netloom.ui.components.curves.curve import Curve, Curves
from netloom.ui.components.curves.plot import MOST, TIMES, lines, send_again, unsent


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", found)
    return found


def grow(found: Curves, count: int) -> None:
    curve = found.setdefault(("train", "loss"), Curve())
    for _ in range(count):
        step = len(curve.steps) + 1
        curve.steps.append(step)
        curve.values.append(1 / step)
        curve.at.append(1000 + step / 3)


def received(known: list[int], sent: dict[str, Any]) -> bool:
    """What a browser does with it. False where it lacks something."""
    for part in sent["points"].values():
        if part["from"] > len(known):
            return False
        known += part["steps"][len(known) - part["from"] :]
    return True


def test_a_browser_that_misses_some_looks_still_has_every_point() -> None:
    found, known = Curves(), list[int]()
    for look in range(20):
        grow(found, 1 + look % 3)
        sent = unsent(found, "run")
        if look % TIMES == 0:  # all others are left out
            assert received(known, sent)
    received(known, unsent(found, "run"))
    assert known == found["train", "loss"].steps


def test_a_browser_that_comes_late_to_a_run_that_has_ended_has_every_point_or_knows_that_it_lacks_some() -> None:
    found = Curves()
    grow(found, 50)
    for late in range(TIMES):
        sent, known = unsent(found, "run"), list[int]()
        assert received(known, sent), late
        assert known == found["train", "loss"].steps
    assert unsent(found, "run") == {"points": {}, "counts": {"train/loss": 50}, "asked": 1}
    send_again()
    assert unsent(found, "run")["points"]["train/loss"]["count"] == 50


def test_what_is_sent_does_not_grow_with_the_run() -> None:
    found = Curves()
    grow(found, 5_000)
    assert len(unsent(found, "run")["points"]["train/loss"]["steps"]) == 5_000
    for _ in range(5):
        grow(found, 2)
        sent = unsent(found, "run")
    assert len(sent["points"]["train/loss"]["steps"]) == 2 * TIMES
    for _ in range(TIMES):
        sent = unsent(found, "run")
    assert not sent["points"]


def test_everything_is_sent_anew_where_it_is_asked_for_and_after_a_resume() -> None:
    found = Curves()
    grow(found, 10)
    first = unsent(found, "run")
    send_again()
    again = unsent(found, "run")
    assert again["points"] == first["points"]
    assert again["asked"] == first["asked"] + 1  # so that a browser that lacks points again may ask again
    other = unsent(found, "run, resumed")
    assert other["points"] == first["points"]


def test_a_long_past_is_thinned_but_counted_whole() -> None:
    found = Curves()
    grow(found, 3 * MOST)
    part = unsent(found, "run")["points"]["train/loss"]
    assert part["count"] == 3 * MOST
    assert len(part["steps"]) <= MOST + 1
    assert (part["steps"][0], part["steps"][-1]) == (1, 3 * MOST)
    for _ in range(TIMES - 1):
        unsent(found, "run")
    grow(found, 1)
    assert unsent(found, "run")["points"]["train/loss"]["from"] == 3 * MOST


def test_batches_stand_behind_the_loss_alone_and_only_where_they_are_measured_alike() -> None:
    found: Curves = {("train", "batch_loss"): Curve(), ("train", "loss"): Curve()}
    assert [label for label, _, _ in lines(found, "loss")] == ["batches", "train", "validation"]
    assert [label for label, _, _ in lines(found, "accuracy")] == ["train", "validation"]
    turns: Curves = {("train", "turns_loss"): Curve(), ("train", "loss"): Curve()}
    assert [label for label, _, _ in lines(turns, "loss")] == ["train", "validation"]
