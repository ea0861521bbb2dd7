"""What all tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner

from netloom.ui.shell import session


@pytest.fixture(scope="session", autouse=True)
def _components() -> Iterator[None]:
    """AppTest looks through all that is installed for components, for each page anew: here for the first alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(autouse=True)
def _no_spare_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have a second worker import everything beforehand, for the next run. Here each test has a data folder of
    its own, so that every one of them would start a process that imports torch, is told no run and stays."""
    monkeypatch.setattr("netloom.runs.warm", lambda store: None)
    monkeypatch.setattr("netloom.jobs.warm", lambda: None)


@pytest.fixture(autouse=True)
def _a_server_of_its_own() -> Iterator[None]:
    """What one test opened is closed for the next: it has another data folder."""
    yield
    session.restart()
