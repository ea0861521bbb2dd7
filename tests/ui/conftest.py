"""Fixtures of all page tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netloom.ui.shell import session


@pytest.fixture(scope="session", autouse=True)
def _components(component_manifests: None) -> None:
    """All tests of pages run them by AppTest."""


@pytest.fixture(autouse=True)
def _no_spare_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages start a spare worker that imports everything for the next run. Each test has its own data folder, so
    each would start a process that imports torch, never gets a run and stays alive."""
    monkeypatch.setattr("netloom.runs.warm", lambda store: None)
    # Its thread would start a worker for a run that a test leaves in the queue, also after that test.
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)
    monkeypatch.setattr("netloom.jobs.warm", lambda: None)
    monkeypatch.setattr("netloom.jobs.delegate", lambda: None)


@pytest.fixture(autouse=True)
def _a_server_of_its_own() -> Iterator[None]:
    """Close what a test opened before the next one, which has another data folder."""
    yield
    session.restart()
