"""The library, links to projects, and the actions of project cards, through clicks on the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.core.text import escape
from netloom.document import dumps
from netloom.document.network_bundle import extract
from netloom.document.sharing import fold
from netloom.store import Store, open_store
from netloom.templates import templates
from netloom.templates.shelf import blocks
from netloom.ui.home.sharing import address
from netloom.ui.shell import session
from netloom.validation import analyze
from tests.compile.published import resnet18
from tests.networks import digits_mlp
from tests.store.states import put

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _fresh(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


def open_page(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def open_library(project_id: str) -> AppTest:
    """The content of the library dialog. AppTest only runs whole scripts, so each click would close a dialog."""

    def script(project_id: str) -> None:
        from netloom.ui.design.library import library_dialog
        from netloom.ui.shell import session

        library_dialog(session.live(project_id), "main")

    app = AppTest.from_function(script, default_timeout=60, kwargs={"project_id": project_id}).run()
    assert not app.exception
    return app


def click(app: AppTest, label: str) -> AppTest:
    matches = [button for button in app.button if button.label == label]
    assert len(matches) == 1, [button.label for button in app.button]
    matches[0].click().run()
    assert not app.exception
    return app


def test_published_network_can_be_added_to_another_project(store: Store) -> None:
    first, second = store.create_project(resnet18()), store.create_project(digits_mlp())
    app = open_library(first)
    assert any("No networks yet" in item.value for item in app.info)
    app.selectbox(key="library/which").select("down").run()
    click(app, "Publish")
    assert [item.value for item in app.success] == ["Published down."]
    assert store.bundle("down") == extract(resnet18(), "down")

    st.cache_resource.clear()
    app = open_library(second)
    app.button(key="use True down").click().run()
    assert "down is now a network of this project" in app.success[0].value
    assert store.load(second).project.networks["down"] == resnet18().networks["down"]
    app.button(key="use True down").click().run()
    assert "already" in app.success[0].value
    live = session.live(second)
    live.apply({"kind": "undo"})
    assert live.project == digits_mlp(), "one step took it all"


def test_republishing_asks_for_confirmation(store: Store) -> None:
    project = store.create_project(resnet18())
    store.publish(extract(digits_mlp(), "main", "tower"), {})
    app = open_library(project)
    app.text_input(key="library/called main").input("tower").run()
    click(app, "Publish")
    assert "The library already has a network tower" in app.warning[0].value
    assert store.published("tower").number == 1
    click(app, "Replace it")
    assert not app.warning
    assert store.published("tower").number == 2
    assert store.bundle("tower") == extract(resnet18(), "main", "tower")


@pytest.mark.parametrize(
    ("name", "message"), [("", "Give it a name"), ("Not a name", "lowercase"), ("bottleneck", "is a built-in block")]
)
def test_invalid_library_name_shows_an_error(store: Store, name: str, message: str) -> None:
    app = open_library(store.create_project(digits_mlp()))
    app.text_input(key="library/called main").input(name).run()
    click(app, "Publish")
    assert message in app.error[0].value
    assert store.library() == []


def test_library_cards_can_be_renamed_and_deleted(store: Store) -> None:
    store.publish(extract(digits_mlp(), "main", "tower"), {"size": 12, "inputs": ["a"], "outputs": ["b"]})
    app = open_library(store.create_project(digits_mlp()))
    assert any("1 in, 1 out · 12 weights" in item.value for item in app.caption)
    app.text_input(key="library/name tower").input("spire").run()
    app.button(key="library/rename tower").click().run()
    assert [row.name for row in store.library()] == ["spire"]
    app.button(key="library/delete spire").click().run()
    assert store.library() == []
    assert [item.value for item in app.success] == ["Deleted spire."]


def test_library_button_opens_the_dialog(store: Store) -> None:
    app = click(open_page("design", project=store.create_project(digits_mlp())), "Library")
    assert app.button(key="use False bottleneck").label == "Add to project"
    assert app.selectbox(key="library/which").options == ["main"]


def test_every_builtin_block_has_a_card(store: Store) -> None:
    app = open_library(store.create_project(digits_mlp()))
    for name, block in blocks().items():
        assert app.button(key=f"use False {name}").label == "Add to project"
        assert any(f"`{name}`" in item.value and escape(block.title) in item.value for item in app.markdown)
    app.button(key="use False bottleneck").click().run()
    assert app.button(key="use False bottleneck").label == "In project"


def test_share_dialog_shows_both_links(store: Store) -> None:
    project = store.create_project(digits_mlp())
    app = click(open_page("design", project=project), "Share")
    links = [item.value for item in app.code if "?" in item.value[:80]]
    assert links[0].endswith(f"/design?project={project}")
    assert links[1].endswith(f"/?open={fold(digits_mlp())}")


@pytest.mark.parametrize(
    ("here", "link"),
    [
        ("http://localhost:8501/design", "http://localhost:8501/design?project=x"),
        ("https://example.org/lab/design", "https://example.org/lab/design?project=x"),
        ("https://example.org/lab/", "https://example.org/lab/design?project=x"),
        ("", "/design?project=x"),
    ],
)
def test_links_use_the_base_address_of_the_app(here: str, link: str) -> None:
    assert address(here, "design", project="x") == link


def test_project_link_opens_or_reports_a_missing_project(store: Store) -> None:
    older = store.create_project(digits_mlp())
    store.create_project(templates()["spirals"].project)
    app = open_page("design", project=older)
    assert app.query_params["project"] == older
    assert not app.error
    assert "no project at this address" in open_page("design", project="gone").error[0].value


def test_shared_copy_link_asks_before_adding(store: Store) -> None:
    app = open_page("home", open=fold(digits_mlp()))
    assert any("Someone shared Digits with you" in item.value for item in app.markdown)
    assert store.list_projects() == []
    click(app, "Decline")
    assert store.list_projects() == []
    assert "open" not in app.query_params


def test_shared_copy_link_adds_a_project(store: Store) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["open"] = fold(digits_mlp())
    app.run()
    click(app, "Add to my projects")
    rows = store.list_projects()
    assert len(rows) == 1
    assert dumps(store.load(rows[0].id).project) == dumps(digits_mlp())
    assert "open" not in app.query_params


def test_damaged_link_shows_an_error(store: Store) -> None:
    app = open_page("home", open=fold(digits_mlp())[:-5])
    assert "damaged" in app.error[0].value
    click(app, "Close")
    assert not app.error
    assert store.list_projects() == []


def test_project_card_renames_and_copies_the_project(store: Store) -> None:
    project = store.create_project(digits_mlp())
    app = open_page("home")
    app.text_input(key=f"name {project} Digits").input("Numbers").run()
    app.button(key=f"rename {project}").click().run()
    assert [row.name for row in store.list_projects()] == ["Numbers"]
    app.button(key=f"copy {project}").click().run()
    assert sorted(row.name for row in store.list_projects()) == ["Numbers", "Numbers (copy)"]


def test_project_deletion_asks_first_and_warns_of_active_runs(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    app = open_page("home")
    assert not [button for button in app.button if button.label == "Delete permanently"]
    app.toggle(key=f"sure {project_id}").set_value(True).run()
    assert not any("stops immediately" in item.value for item in app.caption)
    run = store.create_run(project_id, digits_mlp())
    put(store, run.id, "running")
    app.run()
    assert any("The active run stops immediately" in item.value for item in app.caption)
    app.button(key=f"delete {project_id}").click().run()
    assert not app.exception
    assert (store.list_projects(), store.runs()) == ([], [])


def test_parameter_form_renames_the_parameter(store: Store) -> None:
    project_id = store.create_project(resnet18())
    app = open_page("design", project=project_id, network="basic")
    fields = [field for field in app.text_input if field.label == "Name of width"]
    fields[0].input("channels").run()
    assert not app.exception
    project = store.load(project_id).project
    assert project.networks["basic"].parameters == {"channels": 64}
    assert project.networks["basic"].nodes["conv_1"].params["filters"] == "channels"
    assert project.main_network.nodes["stage_2"].params["values"] == {"channels": 128}
    assert analyze(project).totals.parameters == 11_689_512
    fields = [field for field in app.text_input if field.label == "Name of channels"]
    fields[0].input("max").run()
    assert "not the name of a function" in app.error[0].value
