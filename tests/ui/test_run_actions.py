"""The actions for an ended run on the train page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.core.text import escape
from netloom.store import Store, open_store
from tests.runs.examples import moons
from tests.store.states import put

PAGE = Path(__file__).parents[2] / "pages" / "train.py"


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    st.cache_resource.clear()
    st.cache_data.clear()
    monkeypatch.setattr("netloom.runs.keep", lambda store: None)  # nothing trains; tests set the run states
    return open_store(home)


def open_train_page(store: Store, state: str, **values: Any) -> tuple[AppTest, str]:
    run = store.create_run(store.create_project(moons()), moons())
    put(store, run.id, state, total_steps=40, step=20, epoch=2, **values)
    app = AppTest.from_file(str(PAGE), default_timeout=120)
    app.query_params["project"] = run.project_id
    app.run()
    assert not app.exception
    return app, run.id


def button_labels(app: AppTest) -> set[str]:
    return {button.label for button in app.button}


def test_run_actions_depend_on_the_final_state(store: Store) -> None:
    app, _ = open_train_page(store, "finished", summary={"test": {"accuracy": 1.0}})
    assert {"Explain", "Extend run"} <= button_labels(app)
    assert "Resume" not in button_labels(app)
    failed, _ = open_train_page(store, "failed", reason="The disk is full.", summary={"test": {"accuracy": 1.0}})
    assert "Resume" in button_labels(failed)
    assert not {"Explain", "Extend run"} & button_labels(failed)
    assert [item.value for item in failed.error] == [escape("The disk is full.")]


def test_run_deletion_asks_for_confirmation(store: Store) -> None:
    app, run_id = open_train_page(store, "stopped")
    assert "Delete" not in button_labels(app)  # the first button only opens the confirmation
    app.button(key=f"delete {run_id}").click().run()
    assert not app.exception
    assert not store.runs()
