"""Every page opens without exceptions or errors, on an empty and on a populated store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import runs
from netloom.core.text import escape
from netloom.document import EditError
from netloom.store import open_store
from netloom.templates import templates
from tests.runs.examples import trained_here

PAGES = ("home", "design", "data", "train", "runs", "explain", "playground", "deploy", "monitor")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["spirals", "sine"])
def populated_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a trained project."""
    folder: Path = tmp_path_factory.mktemp("full")
    store = open_store(folder)
    project = templates()[request.param].project
    short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 2})})
    with trained_here():
        run_id = runs.start(store, store.create_project(short), short)
    assert store.run(run_id).state == "finished"
    return folder


@pytest.fixture(autouse=True)
def _clear_caches(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def open_page(page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=300)
    app.run()
    assert not app.exception
    return app


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_on_an_empty_store(page: str) -> None:
    app = open_page(page)
    assert not app.error
    texts = [item.value for item in (*app.caption, *app.info, *app.markdown)]
    assert any(texts), "an empty page says what to do next"


@pytest.mark.parametrize("page", PAGES)
def test_page_opens_on_a_populated_store(page: str, populated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(populated_home))
    app = open_page(page)
    assert not app.error


def test_hostile_names_are_shown_as_text(home: Path) -> None:
    name = "<script>alert(1)</script> **bold** $x$ [link](http://x) :red[y]"
    project = templates()["spirals"].project.model_copy(update={"name": name})
    open_store(home).create_project(project)
    app = open_page("home")
    shown = " ".join(item.value for item in app.markdown)
    assert "\\*\\*bold\\*\\*" in shown
    assert "\\[link\\]" in shown


def test_internal_error_is_shown_and_logged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("netloom.ui.data.page.page", broken)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/data.py").run()
    assert not app.exception
    assert escape("Netloom failed here (ZeroDivisionError)") in app.error[0].value
    entry = json.loads((home / "errors.jsonl").read_text())
    assert entry["where"] == "page"
    assert "by zero" in entry["traceback"]


def test_callback_error_is_logged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in a callback")

    open_store(home).create_project(templates()["spirals"].project)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/train.py").run()
    monkeypatch.setattr("netloom.editing.live.Live.apply", broken)
    app.number_input[0].set_value(7).run()
    assert "in a callback" in (home / "errors.jsonl").read_text()


def test_rejected_edit_is_shown_and_loses_nothing(home: Path) -> None:
    open_store(home).create_project(templates()["spirals"].project)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/train.py").run()
    before = app.number_input[0].value

    def refuse(*_: object, **__: object) -> None:
        raise EditError("That does not go.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netloom.editing.live.Live.apply", refuse)
        app.number_input[0].set_value(7).run()
    assert [item.value for item in app.error] == [escape("That does not go.")]
    assert open_store(home).list_projects(limit=1)[0].name
    app.number_input[0].set_value(before).run()
    assert not app.error
