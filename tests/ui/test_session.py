"""The project of a tab: the requested one or none; and one shared editor per project, even after a cache reset."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from netloom.document import blank
from netloom.runs import start
from netloom.store import Store, open_store, schema
from netloom.templates import templates
from netloom.ui.shell import session
from tests.runs.examples import moons, trained_here

ROOT = Path(__file__).parents[2]
PAGES = ("design", "data", "train", "runs", "explain", "playground", "deploy", "monitor")
NOTHING = "There is no project at this address"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def open_page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def error_text(app: AppTest) -> str:
    assert not app.exception
    return " ".join(item.value for item in app.error)


@pytest.mark.parametrize(
    ("name", "link"),
    [*((name, "0" * 36) for name in PAGES), ("design", "'; DROP TABLE projects; --"), ("train", "![x](http://[::1]/)")],
)
def test_dead_link_opens_no_project(store: Store, name: str, link: str) -> None:
    store.create_project(templates()["spirals"].project)
    app = open_page(name, project=link)
    assert NOTHING in error_text(app)
    assert app.query_params["project"] in (link, [link])
    assert "Go to Home" in {button.label for button in app.button}
    assert {item.label for item in app.text_input} <= {"Search"}, "nothing to change a project with"
    assert NOTHING in error_text(app.run()), "nor does the next run take another one"


def test_deleted_project_is_not_replaced_by_another(store: Store) -> None:
    store.create_project(blank("Another"))
    mine = store.create_project(blank("Mine"))
    app = open_page("design", project=mine)
    assert app.text_input[0].value == "Mine"
    store.delete_project(mine)
    assert NOTHING in error_text(app.run())


def test_newest_project_opens_without_a_link(store: Store) -> None:
    assert not error_text(open_page("design"))
    newest = store.create_project(blank("Newest"))
    app = open_page("design")
    assert app.text_input[0].value == "Newest"
    assert app.query_params["project"] in (newest, [newest])


def test_tab_leaves_the_project_that_it_deletes(home: Path, store: Store) -> None:
    other, deleted = store.create_project(blank("Kept")), store.create_project(blank("Gone"))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["project"] = deleted
    app.run().switch_page("pages/design.py").run()
    assert app.text_input[0].value == "Gone"
    app.switch_page("pages/home.py").run()
    app.toggle(key=f"sure {deleted}").set_value(True).run()
    app.button(key=f"delete {deleted}").click().run()
    assert [row.id for row in store.list_projects()] == [other]
    app.switch_page("pages/design.py").run()
    assert not error_text(app)
    assert app.text_input[0].value == "Kept"


def test_design_page_leads_to_the_deployment_of_the_best_run(home: Path, store: Store) -> None:
    project = moons(epochs=0)
    project_id = store.create_project(project)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["project"] = project_id
    app.run().switch_page("pages/design.py").run()
    assert app.button(key="deploy").disabled
    with trained_here():
        start(store, project_id, project)
    app.run()
    app.button(key="deploy").click().run()
    assert not error_text(app)
    assert "Start server" in {button.label for button in app.button}


def test_unreadable_project_shows_the_reason_and_its_versions(store: Store) -> None:
    project_id = store.create_project(blank("Good"))
    with store.db.writing() as connection:
        connection.execute(update(schema.projects).values(document="{broken"))
    app = open_page("design", project=project_id)
    assert "cannot be read" in error_text(app)
    app.button(key="restore 1").click().run()
    assert not error_text(app)
    assert app.text_input[0].value == "Good"
    assert [(row.number, row.name) for row in store.versions(project_id)] == [(2, "Could not be opened"), (1, "")]


def test_cache_reset_keeps_the_shared_editor(store: Store) -> None:
    project_id = store.create_project(blank("Shared"))
    first, store_before = session.live(project_id), session.store()
    st.cache_data.clear()  # Streamlit does this for all sessions on the `clear_cache` message of a client
    st.cache_resource.clear()
    second = session.live(project_id)
    assert second is first
    assert session.store() is store_before
    first.apply({"kind": "project", "name": "One"})
    assert second.apply({"kind": "project", "notes": "Two"}) == []
    assert (second.project.name, first.project.notes) == ("One", "Two")


def test_concurrent_tabs_share_one_editor(store: Store) -> None:
    project_id, editors, barrier = store.create_project(blank("Shared")), list[object](), threading.Barrier(8)

    def tab() -> None:
        barrier.wait(5)
        editors.append(session.live(project_id))

    threads = [threading.Thread(target=tab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(editors) == 8
    assert len(set(map(id, editors))) == 1


def test_singletons_are_not_in_the_streamlit_cache() -> None:
    """`clear_cache` empties the caches of Streamlit for all sessions: they hold only what can be rebuilt."""
    for path in sorted((ROOT / "builder" / "netloom" / "ui").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for part in text.split("@st.cache_resource")[1:]:
            name = part.partition("def ")[2].partition("(")[0]
            assert name in {"_ended_points"}, f"{path.name}: {name}"
