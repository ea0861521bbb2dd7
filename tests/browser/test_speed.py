"""The latency of a canvas edit until Python's label is shown, and the smoothness of a drag with 300 nodes.

`netloom bench` measures them; run with -s to see the figures. Ratios measured side by side in one run hold on any
machine; the guaranteed times are for an idle machine with two cores. Two apps, two browsers and a run take 90 seconds
of CPU time, so only `pytest -m long` runs these tests.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from netloom.cli.bench.canvas import BUDGET_BYTES, BUDGET_FRAMES, BUDGET_MS
from tests.cli.command import netloom

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(autouse=True)
def _low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that trains during the measurement has a low priority, as in the app."""
    monkeypatch.delenv("NETLOOM_RUN_NICENESS")


@cache
def measure(edits: int) -> Any:
    """Not a fixture, since a fixture would not run alone on the machine."""
    figures = netloom("bench", "--only", "canvas", "--repeats", edits, "--json").value["canvas"]
    print(f"\n{figures}")
    return figures


def test_canvas_is_faster_than_the_peer() -> None:
    figures = measure(2)
    assert [edit["nodes"] for edit in figures["edits"]] == list(BUDGET_MS)
    assert figures["peer"]["median"] > 1
    assert 0 < figures["sent"] <= BUDGET_BYTES
    assert figures["training"]["median"] <= 2.5  # the guarantee is 1.5; other load of the machine adds to it


@pytest.mark.alone
def test_canvas_meets_its_latency_budget() -> None:
    figures = measure(6)
    for edit in figures["edits"]:
        assert edit["share"]["low"] <= 1, edit
        assert edit["share"]["median"] <= 3, edit
    assert figures["frames"] >= BUDGET_FRAMES / 2
