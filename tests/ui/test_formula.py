"""The dialog in which a network is typed: it makes one, changes one, and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from netloom.compile.formula import network_of, text_of
from netloom.document import Project
from netloom.store import Store, open_store
from netloom.templates import templates
from netloom.ui.design.state import Key

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(home: Path) -> tuple[Store, str]:
    st.cache_resource.clear()
    store = open_store(home)
    return store, store.create_project(templates()["spirals"].project)


def opened() -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "design.py"), default_timeout=60).run()
    button(app, "Define layer in code").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str) -> Button:
    (found,) = (item for item in app.button if item.label == label)
    return found


def saved(kept: tuple[Store, str]) -> Project:
    store, project_id = kept
    return store.load(project_id).project


def test_a_typed_network_is_made_and_can_be_called(kept: tuple[Store, str]) -> None:
    app = opened()
    app.text_input(Key.FORMULA_NAME.of(kept[1])).set_value("gated").run()
    app.text_area[0].set_value("width = 4\nGELU(Linear(x, units=width)) * sigmoid(gate)").run()
    assert [item.value for item in app.success] == ["4 layers. Inputs: x, gate. Outputs: 1 tensor."]
    button(app, "Create network").click().run()
    assert not app.exception
    assert saved(kept).networks["gated"] == network_of("width = 4\nGELU(Linear(x, units=width)) * sigmoid(gate)")
    assert not app.text_area  # the dialog is closed
    button(app, "Define layer in code").click().run()
    app.text_area[0].set_value("gated(x, width=2, gat=Linear(x))").run()
    assert "did you mean" in app.error[0].value or "has no" in app.error[0].value
    app.text_area[0].set_value("gated(x, Linear(x), width=2)").run()
    assert not app.error
    button(app, "Create network").click().run()
    assert saved(kept).uses("layer_1") == ["gated"]


def test_a_mistake_is_said_and_nothing_is_made(kept: tuple[Store, str]) -> None:
    app = opened()
    app.text_area[0].set_value("hidden = Liner(x)\nhidden").run()
    said = app.error[0].value.replace("\\", "")  # nothing in it is read as markup
    assert said == "Line 1, column 10: there is no layer 'Liner' (did you mean Linear?)."
    assert button(app, "Create network").disabled
    app.text_area[0].set_value("ReLU(x)").run()
    app.text_input(Key.FORMULA_NAME.of(kept[1])).set_value("Not A Name").run()
    button(app, "Create network").click().run()
    assert "lowercase" in app.error[0].value
    assert list(saved(kept).networks) == ["main"]


def test_the_shown_network_is_changed_where_it_lies(kept: tuple[Store, str]) -> None:
    before = saved(kept)
    app = opened()
    app.radio[0].set_value("Change main").run()
    assert app.text_area[0].value == text_of(before.main_network)
    app.text_area[0].set_value(app.text_area[0].value.replace("units=64", "units=32")).run()
    button(app, "Apply changes").click().run()
    assert not app.exception
    after = saved(kept).main_network
    assert [node.params.get("units") for node in after.nodes.values() if node.type == "Linear"] == [32, 32, 2]
    assert {key: node.at for key, node in after.nodes.items()} == {
        key: node.at for key, node in before.main_network.nodes.items()
    }
