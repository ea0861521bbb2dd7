"""What all tests of pages share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_spare_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have a second worker import everything beforehand, for the next run. Here each test has a data folder of
    its own, so that every one of them would start a process that imports torch, is told no run and stays."""
    monkeypatch.setattr("builder.train.warm", lambda store: None)
