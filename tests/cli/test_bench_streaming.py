"""The measure of training from files: both ways are trained, whatever the number of rows."""

from __future__ import annotations

import pytest

from netloom.cli.bench import streaming
from netloom.data import limits


def test_it_is_measured_beside_the_same_data_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROWS", 500)  # beyond which a table is never read as a whole
    found = streaming.measure_streaming(1, memory_bytes=2**15)
    assert found.rows == 1_280
    assert found.data_bytes == 10 * found.memory_bytes == 10 * 2**15
    assert found.speed.median > 0
    assert found.processor.median > 0
