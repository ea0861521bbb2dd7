"""What a tab is told of that has ended, on whichever page; the browser shows it where it knows that it went on."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.store import Store, open_store
from netloom.store.runs import NewTrial
from netloom.ui.shell.state import TabState
from tests.runs.examples import moons
from tests.store.states import put, put_sweep, sweep_plan

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    st.cache_resource.clear()
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)  # these runs are told, not trained
    return open_store(home)


def known(app: AppTest) -> tuple[set[str], dict[str, str]]:
    """What goes on, and what has ended in which words."""
    assert not app.exception
    found = app.session_state[TabState.name()].notices
    return set(found["going"]), {one["id"]: one["words"] for one in found["ended"]}


@pytest.mark.parametrize("page", ["home", "explain"])
def test_every_page_is_told_of_what_ends(page: str, store: Store) -> None:
    project_id = store.create_project(moons())
    run = store.create_run(project_id, moons(), "One")
    put(store, run.id, "running")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page(f"pages/{page}.py").run()
    assert known(app) == ({run.id}, {})
    put(store, run.id, "failed", reason="The disk is full.")
    assert known(app.run()) == (set(), {run.id: "Failed. The disk is full."})
    put(store, run.id, "running")
    assert known(app.run())[0] == {run.id}
    summary = {"test": {"accuracy": 0.91}}
    put(store, run.id, "finished", reason="", summary=summary)
    assert known(app.run())[1] == {run.id: "Finished. Accuracy 91.0%"}


def test_a_sweep_is_told_once_and_not_with_every_trial(store: Store) -> None:
    project_id = store.create_project(moons())
    sweep = store.create_sweep(project_id, moons(), sweep_plan(2))
    trial = store.create_run(project_id, moons(), "Trial 1", trial=NewTrial(sweep.id, 0, {}))
    gone = store.create_run(project_id, moons(), "Deleted while it is watched")
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert known(app) == ({sweep.id, gone.id}, {})
    put(store, trial.id, "finished")
    store.delete_run(gone.id)
    assert known(app.run()) == ({sweep.id}, {})
    put_sweep(store, sweep.id, "finished")
    assert known(app.run()) == (set(), {sweep.id: "Finished."})
