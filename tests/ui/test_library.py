"""The library, links to projects, and what can be done with a project on its card, as people click through them."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.document import dumps
from netloom.document.network_bundle import extract
from netloom.document.sharing import fold
from netloom.store import Store, open_store
from netloom.templates import templates
from netloom.templates.shelf import blocks
from netloom.ui.components.words import escape
from netloom.ui.home.sharing import address
from netloom.ui.shell import session
from netloom.validation import analyse
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


def opened(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def shelves(project_id: str) -> AppTest:
    """What the library's dialog shows. AppTest runs whole scripts alone, so it would close a dialog with each click."""

    def script(project_id: str) -> None:
        from netloom.ui.design.library import library_dialog
        from netloom.ui.shell import session

        library_dialog(session.live(project_id), "main")

    app = AppTest.from_function(script, default_timeout=60, kwargs={"project_id": project_id}).run()
    assert not app.exception
    return app


def click(app: AppTest, label: str) -> AppTest:
    found = [button for button in app.button if button.label == label]
    assert len(found) == 1, [button.label for button in app.button]
    found[0].click().run()
    assert not app.exception
    return app


def test_a_network_is_published_and_used_in_another_project(store: Store) -> None:
    first, second = store.create_project(resnet18()), store.create_project(digits_mlp())
    app = shelves(first)
    assert any("No networks yet" in item.value for item in app.info)
    app.selectbox(key="library/which").select("down").run()
    click(app, "Publish")
    assert [item.value for item in app.success] == ["Published down."]
    assert store.bundle("down") == extract(resnet18(), "down")

    st.cache_resource.clear()
    app = shelves(second)
    app.button(key="use True down").click().run()
    assert "down is now a network of this project" in app.success[0].value
    assert store.load(second).project.networks["down"] == resnet18().networks["down"]
    app.button(key="use True down").click().run()
    assert "already" in app.success[0].value
    live = session.live(second)
    live.apply({"kind": "undo"})
    assert live.project == digits_mlp(), "one step took it all"


def test_publishing_again_asks_first(store: Store) -> None:
    project = store.create_project(resnet18())
    store.publish(extract(digits_mlp(), "main", "tower"), {})
    app = shelves(project)
    app.text_input(key="library/called main").input("tower").run()
    click(app, "Publish")
    assert "The library already has a network tower" in app.warning[0].value
    assert store.published("tower").number == 1
    click(app, "Replace it")
    assert not app.warning
    assert store.published("tower").number == 2
    assert store.bundle("tower") == extract(resnet18(), "main", "tower")


@pytest.mark.parametrize(
    ("name", "said"), [("", "Give it a name"), ("Not a name", "lowercase"), ("bottleneck", "is a built-in block")]
)
def test_a_name_that_does_not_go_is_said(store: Store, name: str, said: str) -> None:
    app = shelves(store.create_project(digits_mlp()))
    app.text_input(key="library/called main").input(name).run()
    click(app, "Publish")
    assert said in app.error[0].value
    assert store.library() == []


def test_cards_are_renamed_and_deleted(store: Store) -> None:
    store.publish(extract(digits_mlp(), "main", "tower"), {"size": 12, "inputs": ["a"], "outputs": ["b"]})
    app = shelves(store.create_project(digits_mlp()))
    assert any("1 in, 1 out · 12 weights" in item.value for item in app.caption)
    app.text_input(key="library/name tower").input("spire").run()
    app.button(key="library/rename tower").click().run()
    assert [row.name for row in store.library()] == ["spire"]
    app.button(key="library/delete spire").click().run()
    assert store.library() == []
    assert [item.value for item in app.success] == ["Deleted spire."]


def test_the_button_opens_it(store: Store) -> None:
    app = click(opened("design", project=store.create_project(digits_mlp())), "Library")
    assert app.button(key="use False bottleneck").label == "Add to project"
    assert app.selectbox(key="library/which").options == ["main"]


def test_every_ready_block_has_a_card(store: Store) -> None:
    app = shelves(store.create_project(digits_mlp()))
    for name, block in blocks().items():
        assert app.button(key=f"use False {name}").label == "Add to project"
        assert any(f"`{name}`" in item.value and escape(block.title) in item.value for item in app.markdown)
    app.button(key="use False bottleneck").click().run()
    assert app.button(key="use False bottleneck").label == "In project"


def test_share_shows_both_links(store: Store) -> None:
    project = store.create_project(digits_mlp())
    app = click(opened("design", project=project), "Share")
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
def test_links_begin_where_the_app_is(here: str, link: str) -> None:
    assert address(here, "design", project="x") == link


def test_a_link_opens_its_project_and_says_where_it_is_gone(store: Store) -> None:
    older = store.create_project(digits_mlp())
    store.create_project(templates()["spirals"].project)
    app = opened("design", project=older)
    assert app.query_params["project"] == older
    assert not app.error
    assert "no project at this address" in opened("design", project="gone").error[0].value


def test_a_link_with_a_copy_inside_asks_first(store: Store) -> None:
    app = opened("home", open=fold(digits_mlp()))
    assert any("Someone shared Digits with you" in item.value for item in app.markdown)
    assert store.list_projects() == []
    click(app, "Decline")
    assert store.list_projects() == []
    assert "open" not in app.query_params


def test_a_link_with_a_copy_inside_becomes_a_project(store: Store) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["open"] = fold(digits_mlp())
    app.run()
    click(app, "Add to my projects")
    made = store.list_projects()
    assert len(made) == 1
    assert dumps(store.load(made[0].id).project) == dumps(digits_mlp())
    assert "open" not in app.query_params


def test_a_damaged_link_is_said(store: Store) -> None:
    app = opened("home", open=fold(digits_mlp())[:-5])
    assert "damaged" in app.error[0].value
    click(app, "Close")
    assert not app.error
    assert store.list_projects() == []


def test_a_project_is_renamed_and_copied_on_its_card(store: Store) -> None:
    project = store.create_project(digits_mlp())
    app = opened("home")
    app.text_input(key=f"name {project} Digits").input("Numbers").run()
    app.button(key=f"rename {project}").click().run()
    assert [row.name for row in store.list_projects()] == ["Numbers"]
    app.button(key=f"copy {project}").click().run()
    assert sorted(row.name for row in store.list_projects()) == ["Numbers", "Numbers (copy)"]


def test_deleting_asks_first_and_says_what_ends(store: Store) -> None:
    project_id = store.create_project(digits_mlp())
    app = opened("home")
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


def test_a_parameter_is_renamed_in_its_form(store: Store) -> None:
    project_id = store.create_project(resnet18())
    app = opened("design", project=project_id, network="basic")
    found = [field for field in app.text_input if field.label == "Name of width"]
    found[0].input("channels").run()
    assert not app.exception
    made = store.load(project_id).project
    assert made.networks["basic"].parameters == {"channels": 64}
    assert made.networks["basic"].nodes["conv_1"].params["filters"] == "channels"
    assert made.main_network.nodes["stage_2"].params["values"] == {"channels": 128}
    assert analyse(made).totals.parameters == 11_689_512
    found = [field for field in app.text_input if field.label == "Name of channels"]
    found[0].input("max").run()
    assert "not the name of a function" in app.error[0].value
