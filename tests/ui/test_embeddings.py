"""The Embeddings view: the chosen row, its cards on both sides of a comparison, and what leads on from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.runs import load_run
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.explain.example_picker import CUSTOM
from netloom.ui.explain.state import CompareWith, ExplainState
from tests.networks import with_rows
from tests.runs.examples import trained_here

PAGE = Path(__file__).parents[2] / "pages" / "explain.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a run on series."""
    folder: Path = tmp_path_factory.mktemp("embedded")
    store, project = open_store(folder), with_rows(templates()["cbf_fcn"].project, 200)
    short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})})
    with trained_here():
        run_id = runs.start(store, store.create_project(short), short)
    assert store.run(run_id).state == "finished"
    return folder


@pytest.fixture(autouse=True)
def _use_trained_home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(trained))
    st.cache_resource.clear()
    st.cache_data.clear()


def open_view() -> AppTest:
    (run,) = open_store().runs(limit=9)
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    for key, value in {"project": run.project_id, "run": run.id, "view": "embeddings"}.items():
        app.query_params[key] = value
    return checked(app.run())


def checked(app: AppTest) -> AppTest:
    assert not app.exception
    assert not app.error, [item.value for item in app.error]
    return app


def choose_row(app: AppTest) -> int:
    """Choose a row without a pointer, and return it."""
    row = next(item for item in app.selectbox if item.label == "Row")
    assert row.value is None
    row.select_index(2)
    checked(app.run())
    chosen = next(item for item in app.selectbox if item.label == "Row").value
    assert chosen is not None
    return int(chosen)


def test_a_row_is_chosen_by_keyboard_and_shown_with_its_nearest_rows() -> None:
    app = open_view()
    row = choose_row(app)
    assert any(item.value.startswith(f"Row {row} · label") for item in app.caption)
    assert sum(item.value.startswith("Row ") for item in app.caption) == 6


def test_both_sides_of_a_comparison_show_the_same_series() -> None:
    app = open_view()
    row = choose_row(app)
    next(item for item in app.selectbox if item.label == "Compare with").set_value(CompareWith.CHECKPOINT).run()
    checked(app)
    assert sum(item.value.startswith(f"Row {row} · label") for item in app.caption) == 2
    assert [item.label for item in app.button].count("Explain") == 1, "the first side is that of the page"


def test_explain_opens_the_row_also_after_a_custom_example() -> None:
    app = open_view()
    (run,) = open_store().runs(limit=9)
    state: ExplainState = app.session_state[ExplainState.name()]
    state.sources[run.id] = CUSTOM
    row = choose_row(app)
    next(item for item in app.button if item.label == "Explain").click()
    checked(app.run())
    assert app.query_params["view"] == "input"
    assert app.query_params["row"] == str(row)


def test_a_row_of_other_data_is_not_marked() -> None:
    app = open_view()
    row = choose_row(app)
    state: ExplainState = app.session_state[ExplainState.name()]
    (run,) = open_store().runs(limit=9)
    assert state.marked_rows == {load_run(open_store(), run.id).data.fingerprint: row}
