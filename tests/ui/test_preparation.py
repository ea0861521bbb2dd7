"""The choice of input preprocessing on the train page, and the order of inputs in the inspector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.data import prepare
from netloom.data.quality.overview import columns
from netloom.document import DataChoice, ImageNormalization, Project, apply
from netloom.modalities.encoding.number_column import NumberEncoder
from netloom.store import open_store
from netloom.ui.data.column_table import table_row
from netloom.ui.train.state import Key
from tests.networks import project


@pytest.fixture(autouse=True)
def _clear_caches(home: Path) -> None:
    st.cache_resource.clear()
    st.cache_data.clear()


def open_train_page(home: Path, document: Project) -> tuple[AppTest, str]:
    key = open_store(home).create_project(document)
    app = AppTest.from_file(str(Path(__file__).parents[2] / "pages" / "train.py"), default_timeout=60)
    app.query_params["project"] = key
    app.session_state[Key.DATA.of(True)] = True  # open the expander
    app.run()
    assert not app.exception
    return app, key


def saved(home: Path, key: str) -> Project:
    return open_store(home).load(key).project


def captions(app: AppTest) -> list[str]:
    return [item.value for item in app.caption if item.value.startswith("Inputs: ")]


def digits_project(**data: object) -> Project:
    image = {"field": "image", "kind": "image", "shape": [1, 8, 8]}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "x": ("Input", image),
        "f": ("Flatten", {}),
        "l": ("Linear", {"units": 10}),
        "o": ("Output", {}),
    }
    document = project(nodes, [("x", "f"), ("f", "l"), ("l", "o")])
    return apply(document, {"kind": "project", "data": {"dataset": "digits", **data}})


def test_preprocessing_is_described_and_can_be_changed(home: Path) -> None:
    app, key = open_train_page(home, digits_project())
    (box,) = (item for item in app.selectbox if item.label == "Input preprocessing")
    assert box.options == ["Standardize", "Scale to 0 to 1", "As they are in the data"]
    assert captions(app) == ["Inputs: pixels are standardized by the training rows (mean 0, standard deviation 1)."]
    box.select("none").run()
    assert saved(home, key).data.prepare == "none"
    assert captions(app) == ["Inputs: pixels are fed as they are in the data."]
    normalization = ImageNormalization(mean=(0.5,), std=(0.25,))
    app, key = open_train_page(home, digits_project(prepare=normalization.model_dump(mode="json")))
    (box,) = (item for item in app.selectbox if item.label == "Input preprocessing")
    assert box.value == "As the imported network asks"
    assert captions(app) == ["Inputs: pixels × 0.00392157, less 0.5, divided by 0.25."]


def test_text_input_has_no_preprocessing_choice(home: Path) -> None:
    tokens = {"field": "text", "kind": "tokens", "shape": [12], "vocabulary": 50}
    document = project({"x": ("Input", tokens), "o": ("Output", {})}, [("x", "o")])
    app, _ = open_train_page(home, apply(document, {"kind": "project", "data": {"dataset": "intents"}}))
    assert not captions(app)
    assert not any(item.label == "Input preprocessing" for item in app.selectbox)


def test_column_table_shows_the_effective_preprocessing() -> None:
    options: dict[str, Any] = {"columns": {"mean area": {"scale": "log1p"}}}
    data_columns = columns(DataChoice(dataset="breast_cancer", prepare="none", options=options))
    rows = {row["Column"]: row["Preprocessing"] for row in (table_row(column, "none") for column in data_columns)}
    assert (rows["mean area"], rows["mean radius"]) == ("log(1 + x)", "None")
    table = prepare(DataChoice(dataset="breast_cancer", prepare="none", options=options)).fields[0]
    assert {column.name for column in table.columns if isinstance(column, NumberEncoder) and column.state.log} == {
        "mean area"
    }


def test_inspector_changes_the_input_order(home: Path) -> None:
    four = ("Input", {"shape": [4]})
    nodes = {"a": four, "b": four, "less": ("Subtract", {}), "l": ("Linear", {}), "o": ("Output", {})}
    edges = [("a", "less.a"), ("b", "less.b"), ("less", "l"), ("l", "o")]
    store = open_store(home)
    key = store.create_project(project(nodes, edges))

    def script(key: str) -> None:
        import streamlit as st

        from netloom.editing.live import Live
        from netloom.store import open_store
        from netloom.ui.design.inspector import inspector

        if "live" not in st.session_state:
            st.session_state["live"] = Live(open_store(), key)
        inspector(st.session_state["live"], "main", ["b"])

    app = AppTest.from_function(script, args=(key,), default_timeout=60)
    app.run()
    assert not app.exception
    (box,) = (item for item in app.selectbox if item.label == "Position among the inputs")
    assert (box.options, box.value) == (["1 of 2", "2 of 2"], 2)
    box.select(1).run()
    assert saved(home, key).main_network.order("Input") == ["b", "a"]
