"""How long an edit on the canvas takes until Python's label is seen, and how smoothly 300 nodes are dragged.

What `netloom bench` measures. The promises are for a quiet machine with two cores; run with -s to see the figures. The
best of all edits has to keep them, and the median thrice as much, as the machine may be busy.
"""

from __future__ import annotations

import pytest

from builder.cli.bench.canvas import BUDGET_BYTES, BUDGET_FRAMES, BUDGET_MS
from tests.cli.command import netloom

EDITS = 6


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.alone
def test_the_canvas_keeps_its_promises() -> None:
    found = netloom("bench", "--only", "canvas", "--repeats", EDITS, "--json").value["canvas"]
    print(f"\n{found}")
    assert [edit["nodes"] for edit in found["edits"]] == list(BUDGET_MS)
    for edit in found["edits"]:
        assert edit["share"]["low"] <= 1, edit
        assert edit["share"]["median"] <= 3, edit
    assert found["peer"]["median"] >= 2
    assert 0 < found["sent"] <= BUDGET_BYTES
    assert found["frames"] >= BUDGET_FRAMES / 2
    assert found["training"]["median"] <= 2.0  # promised is 1.5; what else the machine does comes on top
