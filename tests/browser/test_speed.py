"""How long an edit on the canvas takes until Python's label is seen, and how smoothly 300 nodes are dragged.

What `netloom bench` measures, in the tests' own browser. The promises are for a quiet machine with two cores; run with
-s to see the figures. The best of 20 has to keep them, and the median thrice as much, as the machine may be busy.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from builder.cli.bench.canvas import (
    BUDGET_BYTES,
    BUDGET_FRAMES,
    BUDGET_MS,
    PEER,
    CanvasTab,
    measure_peer,
    measure_training,
)
from builder.cli.bench.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EDITS = 20


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path, PEER)
    yield found
    found.stop()


@pytest.mark.parametrize("nodes", list(BUDGET_MS))
def test_an_edit_is_seen_soon(browser: Browser, server: Server, nodes: int) -> None:
    with CanvasTab(browser, server, nodes) as tab:
        took = [tab.edit() for _ in range(EDITS)]
    median = statistics.median(took)
    print(f"\n{nodes} nodes: median {median:.0f} ms, best {min(took):.0f} ms, promised {BUDGET_MS[nodes]} ms")
    assert min(took) <= BUDGET_MS[nodes]
    assert median <= 3 * BUDGET_MS[nodes]


def test_another_canvas_takes_at_least_twice_as_long(browser: Browser, server: Server, peer: Server) -> None:
    found = measure_peer(browser, server, peer, EDITS)
    print(f"\nstreamlit-flow-component: {found.median:.1f} times as long ({found.low:.1f}–{found.high:.1f})")
    assert found.median >= 2


def test_an_edit_sends_little(browser: Browser, server: Server) -> None:
    with CanvasTab(browser, server, 300) as tab:
        sent = tab.sent(5)
    print(f"\n300 nodes: {sent:,} bytes in the largest message up")
    assert sent <= BUDGET_BYTES


def test_the_page_stays_quick_while_a_run_trains(browser: Browser, server: Server) -> None:
    found = measure_training(browser, server, 10)
    print(f"\nwhile a run trains an edit takes {found.median:.2f} times as long")
    # Promised is 1.5; what else the machine does comes on top.
    assert found.median <= 2.0


def test_dragging_stays_smooth(browser: Browser, server: Server) -> None:
    with CanvasTab(browser, server, 300) as tab:
        frames = tab.drag()
    print(f"\n300 nodes: {frames:.0f} frames a second")
    assert frames >= BUDGET_FRAMES / 2
