"""The dialog that defines a network in code: it creates networks, changes them and reports errors."""

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
def stored_project(home: Path) -> tuple[Store, str]:
    st.cache_resource.clear()
    store = open_store(home)
    return store, store.create_project(templates()["spirals"].project)


def open_dialog() -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "design.py"), default_timeout=60).run()
    button(app, "Define layer in code").click().run()
    assert not app.exception
    return app


def button(app: AppTest, label: str) -> Button:
    (match,) = (item for item in app.button if item.label == label)
    return match


def saved(stored_project: tuple[Store, str]) -> Project:
    store, project_id = stored_project
    return store.load(project_id).project


def test_network_from_code_can_be_used_as_a_layer(stored_project: tuple[Store, str]) -> None:
    app = open_dialog()
    app.text_input(Key.FORMULA_NAME.of(stored_project[1])).set_value("gated").run()
    app.text_area[0].set_value("width = 4\nGELU(Linear(x, units=width)) * sigmoid(gate)").run()
    assert [item.value for item in app.success] == ["4 layers. Inputs: x, gate. Outputs: 1 tensor."]
    button(app, "Create network").click().run()
    assert not app.exception
    assert saved(stored_project).networks["gated"] == network_of(
        "width = 4\nGELU(Linear(x, units=width)) * sigmoid(gate)"
    )
    assert not app.text_area  # the dialog is closed
    button(app, "Define layer in code").click().run()
    app.text_area[0].set_value("gated(x, width=2, gat=Linear(x))").run()
    assert "did you mean" in app.error[0].value or "has no" in app.error[0].value
    app.text_area[0].set_value("gated(x, Linear(x), width=2)").run()
    assert not app.error
    button(app, "Create network").click().run()
    assert saved(stored_project).uses("layer_1") == ["gated"]


def test_code_error_is_shown_and_creates_nothing(stored_project: tuple[Store, str]) -> None:
    app = open_dialog()
    app.text_area[0].set_value("hidden = Liner(x)\nhidden").run()
    message = app.error[0].value.replace("\\", "")  # without the escaping of Markdown
    assert message == "Line 1, column 10: there is no layer 'Liner' (did you mean Linear?)."
    assert button(app, "Create network").disabled
    app.text_area[0].set_value("ReLU(x)").run()
    app.text_input(Key.FORMULA_NAME.of(stored_project[1])).set_value("Not A Name").run()
    button(app, "Create network").click().run()
    assert "lowercase" in app.error[0].value
    assert list(saved(stored_project).networks) == ["main"]


def test_code_changes_keep_node_positions(stored_project: tuple[Store, str]) -> None:
    before = saved(stored_project)
    app = open_dialog()
    app.radio[0].set_value("Change main").run()
    assert app.text_area[0].value == text_of(before.main_network)
    app.text_area[0].set_value(app.text_area[0].value.replace("units=64", "units=32")).run()
    button(app, "Apply changes").click().run()
    assert not app.exception
    after = saved(stored_project).main_network
    assert [node.params.get("units") for node in after.nodes.values() if node.type == "Linear"] == [32, 32, 2]
    assert {key: node.at for key, node in after.nodes.items()} == {
        key: node.at for key, node in before.main_network.nodes.items()
    }
