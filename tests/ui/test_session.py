"""Which project a tab looks at: the one that was asked for or none; and one editor for each, whatever is cleared."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from netloom.document import blank
from netloom.store import Store, open_store, schema
from netloom.templates import templates
from netloom.ui.shell import session

ROOT = Path(__file__).parents[2]
PAGES = ("design", "data", "train", "runs", "explain")
NOTHING = "There is no project at this address"


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def errors(app: AppTest) -> str:
    assert not app.exception
    return " ".join(item.value for item in app.error)


@pytest.mark.parametrize(
    ("name", "link"),
    [*((name, "0" * 36) for name in PAGES), ("design", "'; DROP TABLE projects; --"), ("train", "![x](http://[::1]/)")],
)
def test_a_dead_link_opens_no_other_project(store: Store, name: str, link: str) -> None:
    store.create_project(templates()["spirals"].project)
    app = page(name, project=link)
    assert NOTHING in errors(app)
    assert app.query_params["project"] in (link, [link])
    assert "Go to Home" in {button.label for button in app.button}
    assert not app.text_input, "nothing to change a project with"
    assert NOTHING in errors(app.run()), "nor does the next run take another one"


def test_a_project_that_was_deleted_meanwhile_is_replaced_by_no_other(store: Store) -> None:
    store.create_project(blank("Another"))
    mine = store.create_project(blank("Mine"))
    app = page("design", project=mine)
    assert app.text_input[0].value == "Mine"
    store.delete_project(mine)
    assert NOTHING in errors(app.run())


def test_without_a_link_the_newest_project_is_opened(store: Store) -> None:
    assert not errors(page("design"))
    newest = store.create_project(blank("Newest"))
    app = page("design")
    assert app.text_input[0].value == "Newest"
    assert app.query_params["project"] in (newest, [newest])


def test_a_project_that_was_deleted_here_is_looked_at_no_more(home: Path, store: Store) -> None:
    kept, gone = store.create_project(blank("Kept")), store.create_project(blank("Gone"))
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["project"] = gone
    app.run().switch_page("pages/design.py").run()
    assert app.text_input[0].value == "Gone"
    app.switch_page("pages/home.py").run()
    app.toggle(key=f"sure {gone}").set_value(True).run()
    app.button(key=f"delete {gone}").click().run()
    assert [row.id for row in store.list_projects()] == [kept]
    app.switch_page("pages/design.py").run()
    assert not errors(app)
    assert app.text_input[0].value == "Kept"


def test_what_cannot_be_opened_says_why_and_offers_its_versions(store: Store) -> None:
    project_id = store.create_project(blank("Good"))
    with store.db.writing() as connection:
        connection.execute(update(schema.projects).values(document="{broken"))
    app = page("design", project=project_id)
    assert "cannot be read" in errors(app)
    app.button(key="restore 1").click().run()
    assert not errors(app)
    assert app.text_input[0].value == "Good"
    assert [(row.number, row.name) for row in store.versions(project_id)] == [(2, "Could not be opened"), (1, "")]


def test_a_client_that_clears_the_caches_splits_no_editor(store: Store) -> None:
    project_id = store.create_project(blank("Shared"))
    first, opened = session.live(project_id), session.store()
    st.cache_data.clear()  # what Streamlit does for a client's message `clear_cache`, for all sessions
    st.cache_resource.clear()
    again = session.live(project_id)
    assert again is first
    assert session.store() is opened
    first.apply({"kind": "project", "name": "One"})
    assert again.apply({"kind": "project", "notes": "Two"}) == []
    assert (again.project.name, first.project.notes) == ("One", "Two")


def test_tabs_that_open_a_project_together_share_its_editor(store: Store) -> None:
    project_id, found, together = store.create_project(blank("Shared")), list[object](), threading.Barrier(8)

    def tab() -> None:
        together.wait(5)
        found.append(session.live(project_id))

    threads = [threading.Thread(target=tab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_nothing_that_must_be_one_is_kept_where_clients_can_clear_it() -> None:
    """`clear_cache` empties st.cache_resource and st.cache_data for all: only what can be made anew is kept there."""
    for path in sorted((ROOT / "builder" / "netloom" / "ui").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for part in text.split("@st.cache_resource")[1:]:
            name = part.partition("def ")[2].partition("(")[0]
            assert name in {"_ended_points"}, f"{path.name}: {name}"
