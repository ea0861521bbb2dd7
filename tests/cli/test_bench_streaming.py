"""The benchmark of streamed training: it trains streamed and in memory, for any number of rows."""

from __future__ import annotations

import pytest

from netloom.cli.bench import streaming
from netloom.data import limits
from netloom.data.uploads.upload_kind import readers


def test_streaming_is_compared_with_in_memory_training(monkeypatch: pytest.MonkeyPatch) -> None:
    readers()  # a module that is imported with the limit below would keep it
    monkeypatch.setattr(limits, "MAX_ROWS", 500)  # larger tables are never read completely
    measurement = streaming.measure_streaming(1, memory_bytes=2**15)
    assert measurement.rows == 1_280
    assert measurement.data_bytes == 10 * measurement.memory_bytes == 10 * 2**15
    assert measurement.speed.median > 0
    assert measurement.processor.median > 0
