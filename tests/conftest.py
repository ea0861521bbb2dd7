"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import THREADS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for one test."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("NETLOOM_HOME", str(folder))
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    return folder


def pytest_report_header() -> str:
    return f"threads per library: {THREADS}"
