"""The Monitor page: how to turn the log on, the state of a served model, and a new state after new requests."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from netloom import runs
from netloom.api import load_run
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.monitor import watch
from netloom.ui.monitor.state import Key
from tests.monitoring.conftest import Watched, columns_run
from tests.runs.examples import trained_here
from tests.ui.page_texts import checked, texts

PAGE = Path(__file__).parents[2] / "pages" / "monitor.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A data folder with a project and its run."""
    folder: Path = tmp_path_factory.mktemp("monitored")
    store = open_store(folder)
    project = templates()["breast_cancer"].project
    project = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 3})})
    with trained_here():
        runs.start(store, store.create_project(project), project)
    return Watched(folder, load_run(home=folder))


@pytest.fixture(autouse=True)
def _use_trained_home(trained: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_HOME", str(trained.home))
    shutil.rmtree(trained.home / "serving", ignore_errors=True)
    st.cache_resource.clear()
    st.cache_data.clear()


def open_page() -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = open_store().list_projects(limit=1)[0].id
    return checked(app.run())


def test_page_without_a_log_says_how_to_turn_it_on(trained: Watched) -> None:
    app = open_page()
    assert "off by default" in texts(app)
    assert f"serve {trained.run_id[:8]}" in app.code[0].value
    assert "--log-requests 1" in app.code[0].value


def test_state_comes_first_and_is_new_after_new_requests(trained: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = trained.rows(120)
    trained.log(rows, labels, model="tumors")
    app = open_page()
    [head] = [item.value for item in app.markdown if "### " in item.value]
    assert "No drift found in 120 predictions since 20" in head
    assert "labeled predictions" in texts(app)
    assert set(app.dataframe[0].value["Verdict"]) == {"stable"}
    assert "mean radius" in set(app.dataframe[0].value["Quantity"])
    trained.log(trained.rows(400, shift=0.6)[0], model="tumors")
    assert "120 predictions" in texts(checked(app.run())), "a report is shown for a while"
    monkeypatch.setattr(watch, "SHOWN_S", 0.0)
    app = checked(checked(app.run()).run())  # the second look draws the new report
    [head] = [item.value for item in app.markdown if "### " in item.value]
    assert "quantities drifted" in head
    assert "drift" in set(app.dataframe[0].value["Verdict"])
    app = checked(app.selectbox(key=str(Key.WINDOW)).set_value(250).run())
    assert "250 predictions from" in texts(app)


def test_several_columns_have_their_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = columns_run(tmp_path)
    monkeypatch.setenv("NETLOOM_HOME", str(tmp_path))
    rows = [{"x": number / 20} for number in range(-20, 20)]
    watched.log(rows, [{"width": 1000 * row["x"], "height": 0.02 * row["x"] + 1} for row in rows], model="sizes")
    app = open_page()
    assert "**Mean absolute error (scaled)** on 40 labeled predictions" in texts(app)
    assert ":material/warning:" in app.markdown[0].value
    [table] = [item.value for item in app.dataframe if "Column" in item.value]
    assert list(table["Column"]) == ["width", "height"]
    assert table["Mean absolute error"][1] == pytest.approx(1, abs=0.05)
    assert table["Mean absolute error, test rows"][1] < 0.05
    assert list(table["RMSE"] >= table["Mean absolute error"]) == [True, True]


def test_a_few_requests_are_not_judged(trained: Watched) -> None:
    trained.log(trained.rows(8)[0], model="tumors")
    app = open_page()
    assert "8 predictions are logged so far; a check needs at least 30" in texts(app)
    assert not app.dataframe


def open_examples() -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.query_params["project"] = open_store().list_projects(limit=1)[0].id
    app.session_state[str(Key.MODE)] = "examples"
    return checked(app.run())


def button(app: AppTest, label: str) -> Button:
    return next(item for item in app.button if item.label == label)


def test_wrong_requests_are_collected_corrected_and_become_a_version(trained: Watched) -> None:
    store = open_store()
    project = store.list_projects(limit=1)[0].id
    assert "No examples collected yet" in texts(open_examples())
    rows, labels = trained.rows(40)
    first, second = trained.classes
    wrong = [second if label == first else first for label in labels]
    trained.log(rows, [*wrong[:3], *labels[3:]], model="tumors")
    app = open_examples()
    assert sum("reported label" in item.value for item in app.caption) >= 3
    predicted = [answer["prediction"] for answer in runs.predict(trained.trained, rows[3:5])]
    trained.log(rows[3:5], [second if name == first else first for name in predicted], model="second")
    app = open_examples()
    names = [item.value.rpartition(" · ")[2] for item in app.caption if "reported label" in item.value]
    assert {"tumors", "second"} <= set(names), "all names that the run was served as"
    app = checked(button(app, "Collect").click().run())
    app = checked(button(app, "Collect").click().run())
    collected = store.collected(project).all()
    assert {example.label for example in collected} <= set(trained.classes)
    assert all(example.label != example.prediction for example in collected)
    assert "2 collected examples" in texts(app)
    newest = collected[-1]
    other = second if newest.label == first else first
    app = checked(app.selectbox(key=Key.LABEL.of(newest.id)).set_value(other).run())
    assert store.collected(project).all()[-1].label == other
    app = checked(button(app, "Create dataset version").click().run())
    [done] = [item.value for item in app.success]
    data = trained.trained.data
    assert f"{len(data.raw) + 2:,} rows" in done
    app = checked(app.button(key=Key.DELETE.of(newest.id)).click().run())
    assert [example.id for example in store.collected(project).all()] == [collected[0].id]
    store.collected(project).delete_all()


def test_texts_of_requests_are_shown_as_texts(trained: Watched) -> None:
    hostile = "![x](http://127.0.0.1:9/x) <img src=x onerror=alert(1)> **bold**"
    rows, _ = trained.rows(1)
    project = open_store().list_projects(limit=1)[0].id
    collected = open_store().collected(project)
    collected.add({**rows[0], "mean radius": hostile}, trained.classes[0], hostile, prediction=hostile)
    app = open_examples()
    collected.delete_all()
    shown = " ".join(item.value for item in (*app.markdown, *app.caption) if "onerror" in item.value)
    assert "onerror" in shown
    assert not re.search(r"(?<!\\)[<*!]", shown), "every mark is escaped"
