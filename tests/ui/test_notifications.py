"""Notifications of finished work, on every page; the browser shows those for work that it saw running."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.store import Store, open_store
from netloom.store.run_summary import RunOrigin, SweepTrial
from netloom.ui.shell.state import TabState
from tests.runs.examples import moons
from tests.store.states import put, put_sweep, sweep_plan

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    st.cache_resource.clear()
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)  # nothing trains; tests set the run states
    return open_store(home)


def active_and_ended(app: AppTest) -> tuple[set[str], dict[str, str]]:
    """The IDs of active work, and the message for each item that ended."""
    assert not app.exception
    notices = app.session_state[TabState.name()].notices
    return set(notices["active"]), {item["id"]: item["words"] for item in notices["ended"]}


@pytest.mark.parametrize("page", ["home", "explain"])
def test_every_page_gets_notifications_of_ended_runs(page: str, store: Store) -> None:
    project_id = store.create_project(moons())
    run = store.create_run(project_id, moons(), "One")
    put(store, run.id, "running")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page(f"pages/{page}.py").run()
    assert active_and_ended(app) == ({run.id}, {})
    put(store, run.id, "failed", reason="The disk is full.")
    assert active_and_ended(app.run()) == (set(), {run.id: "Failed. The disk is full."})
    put(store, run.id, "running")
    assert active_and_ended(app.run())[0] == {run.id}
    summary = {"test": {"accuracy": 0.91}}
    put(store, run.id, "finished", reason="", summary=summary)
    assert active_and_ended(app.run())[1] == {run.id: "Finished. Accuracy 91.0%"}


def test_sweep_notifies_once_instead_of_per_trial(store: Store) -> None:
    project_id = store.create_project(moons())
    sweep = store.create_sweep(project_id, moons(), sweep_plan(2))
    trial = store.create_run(
        project_id, moons(), "Trial 1", about=RunOrigin(start=SweepTrial(sweep=sweep.id, number=0))
    )
    deleted_run = store.create_run(project_id, moons(), "Deleted while it is watched")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert active_and_ended(app) == ({sweep.id, deleted_run.id}, {})
    put(store, trial.id, "finished")
    store.delete_run(deleted_run.id)
    assert active_and_ended(app.run()) == ({sweep.id}, {})
    put_sweep(store, sweep.id, "finished")
    assert active_and_ended(app.run()) == (set(), {sweep.id: "Finished."})
