"""The editor of columns and splits: what is typed into it becomes part of the document, or is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.data import add_file, schema
from netloom.data.quality.overview import columns
from netloom.document import DataChoice
from netloom.editing.live import Live
from netloom.store import open_store
from netloom.ui.data import schema_editor as editor
from netloom.ui.data.target_picker import reading_edit
from tests.data.samples import csv
from tests.data.test_columns import mixed
from tests.networks import chain


@pytest.fixture
def live(home: Path) -> Live:
    """A project that reads a table of many kinds of columns."""
    st.cache_resource.clear()
    info = add_file(csv(mixed()), "houses.csv", home, target="label")
    found = schema(DataChoice(dataset=info.name), home)
    assert found is not None
    source = ("Input", found.inputs[0].parameters())
    project = chain(source, ("Linear", {"units": 2}), data=DataChoice(dataset=info.name))
    store = open_store(home)
    return Live(store, store.create_project(project))


def typed(live: Live, **changes: dict[str, Any]) -> None:
    """What the page does with changes to rows of the table."""
    found = columns(live.project.data, live.store.home)
    live.apply(reading_edit(live, {"options": editor.changed_options(live, found, changes)}))


def said(live: Live) -> Any:
    return live.project.data.options.get("columns")


def test_what_is_typed_becomes_part_of_the_document_and_can_be_undone(live: Live) -> None:
    before = live.project
    typed(
        live, price={"Preprocessing": "Quantiles, normal", "Missing indicator": True}, kind={"Imputation": "Constant"}
    )
    assert said(live) == {
        "price": {"scale": "normal", "indicator": True}, "kind": {"impute": "constant", "fill": "missing"},
    }  # fmt: skip
    assert Live(live.store, live.id).project == live.project  # and it was kept
    typed(live, price={"Missing indicator": False}, kind={"Imputation": "Separate category"})
    assert said(live) == {"price": {"scale": "normal"}}
    for _ in range(2):
        live.apply({"kind": "undo"})
    assert live.project == before


def test_an_input_follows_the_columns_that_it_reads(live: Live) -> None:
    width: Any = live.project.main_network.nodes["input_1"].params["shape"]
    typed(live, price={"Role": "ignore"}, when={"Role": "ignore"})
    now = live.project.main_network.nodes["input_1"].params["shape"]
    assert now == [width[0] - 4]  # a number, and the three parts of a date
    assert not [issue for issue in live.analysis().issues if issue.severity == "error"]


def test_another_target_takes_the_place_of_a_class_and_stands_beside_a_number(live: Live) -> None:
    typed(live, size={"Role": "target"})
    assert said(live) == {"size": {"role": "target"}, "label": {"role": "input"}}
    assert live.project.training.objective == "regression"
    typed(live, house={"Role": "target"})
    found = live.schema()
    assert found is not None
    assert (found.target.name, found.target.shape) == ("size, house", (2,))
    typed(live, label={"Role": "target"})
    assert live.project.training.objective == "classification"
    assert [column.name for column in columns(live.project.data, live.store.home) if column.role == "target"] == [
        "label"
    ]


def test_another_kind_forgets_what_was_set_for_the_old_one(live: Live) -> None:
    typed(live, rooms={"Preprocessing": "Min-max", "Missing indicator": True})
    typed(live, rooms={"Kind": "category"})
    assert said(live) == {"rooms": {"kind": "category"}}
    typed(live, rooms={"Preprocessing": "Ordinal, separate field"})
    found = live.schema()
    assert found is not None
    assert [field.name for field in found.inputs] == ["features", "rooms"]


def test_what_was_left_out_for_its_looks_can_be_brought_in(live: Live) -> None:
    typed(live, note={"Role": "input"})
    found = live.schema()
    assert found is not None
    assert [field.kind for field in found.inputs] == ["vector", "tokens"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": {"Kind": "number"}}, "holds no numbers"),
        ({"kind": {"Preprocessing": "Min-max"}}, "has no setting 'scale'"),
        ({"price": {"Role": "weight"}}, "missing"),
        ({"label": {"Role": "input"}}, "nothing to predict"),
    ],
)
def test_what_cannot_be_changes_nothing_and_is_said(live: Live, change: dict[str, Any], words: str) -> None:
    before = live.project
    with pytest.raises(ValueError, match=words):
        typed(live, **change)
    assert live.project == before


def _page(project_id: str) -> None:
    """What is drawn, as a script of its own."""
    from netloom.data import datasets, prepare
    from netloom.editing.live import Live
    from netloom.store import open_store
    from netloom.ui.data.schema_editor import schema_editor

    store = open_store()
    live = Live(store, project_id)
    info = next(info for info in datasets(store.home) if info.name == live.project.data.dataset)
    schema_editor(store, live, info, prepare(live.project.data, store.home))


def test_rows_are_parted_as_the_page_is_told(live: Live) -> None:
    app = AppTest.from_function(_page, args=(live.id,), default_timeout=60).run()
    assert not app.exception
    assert "56 training rows, 12 validation rows, 12 test rows." in [caption.value for caption in app.caption]
    next(box for box in app.selectbox if box.label == "Split method").select("random").run()
    next(box for box in app.number_input if box.label == "Folds").set_value(4).run()
    assert not app.exception
    choice = Live(live.store, live.id).project.data
    assert (choice.split, choice.folds, choice.fold) == ("random", 4, 0)
    assert "48 training rows, 12 validation rows, 20 test rows." in [caption.value for caption in app.caption]
    next(box for box in app.selectbox if box.label == "Split method").select("group").run()
    assert "role group" in app.error[0].value
    assert Live(live.store, live.id).project.data == choice


def test_parts_that_the_data_names_have_no_share_to_set(home: Path) -> None:
    st.cache_resource.clear()
    parts = ("train", "train", "test")
    table = "\n".join(["a,kind,split", *(f"{row},{'pq'[row % 2]},{parts[row % 3]}" for row in range(60))])
    info = add_file(table.encode(), "parted.csv", home)
    choice = DataChoice(dataset=info.name)
    found = schema(choice, home)
    assert found is not None
    store = open_store(home)
    key = store.create_project(chain(("Input", found.inputs[0].parameters()), ("Linear", {"units": 2}), data=choice))
    app = AppTest.from_function(_page, args=(key,), default_timeout=60).run()
    boxes = {box.label: box.disabled for box in app.number_input}
    assert (boxes["Validation"], boxes["Test"]) == (False, True)  # validation is taken from the rows for training
    next(box for box in app.selectbox if box.label == "Split method").select("random").run()
    assert not any(box.disabled for box in app.number_input)


def _pick(app: AppTest, label: str, value: Any) -> None:
    boxes = [*app.multiselect, *app.selectbox]
    next(box for box in boxes if box.label == label).set_value(value).run()
    assert not app.exception


def test_several_columns_can_be_predicted_and_as_what_is_chosen_beside_them(live: Live) -> None:
    app = AppTest.from_function(_page, args=(live.id,), default_timeout=60).run()
    _pick(app, "Target", ["label", "size"])
    now = Live(live.store, live.id)
    assert now.project.training.objective == "several_outputs"
    found = now.schema()
    assert found is not None
    assert {part.name: part.kind for part in found.target.parts} == {"label": "class", "size": "number"}
    _pick(app, "Target", [])
    assert "at least one target column" in app.error[0].value
    _pick(app, "Target", ["size"])
    assert Live(live.store, live.id).project.training.objective == "regression"


def test_cells_of_several_labels_are_read_as_labels(home: Path) -> None:
    genres = ["drama", "drama;action", "", "action;comedy"] * 20
    info = add_file(csv({"year": range(80), "genres": genres}), "films.csv", home, target="genres")
    store = open_store(home)
    project_id = store.create_project(chain(("Linear", {"units": 3}), data=DataChoice(dataset=info.name)))
    app = AppTest.from_function(_page, args=(project_id,), default_timeout=60).run()
    _pick(app, "Target type", "multi_label")
    now = Live(store, project_id)
    found = now.schema()
    assert found is not None
    assert (found.target.classes, now.project.training.objective) == (("action", "comedy", "drama"), "multi_label")


def test_a_sound_becomes_a_spectrogram_and_a_waveform_again(home: Path) -> None:
    st.cache_resource.clear()
    choice = DataChoice(dataset="spoken", options={"rows": 60})
    source = ("Input", {"field": "sound", "kind": "sequence", "shape": [1200, 1]})
    store = open_store(home)
    project_id = store.create_project(chain(source, ("Flatten", {}), ("Linear", {"units": 10}), data=choice))

    def shape() -> Any:
        return Live(store, project_id).project.main_network.nodes["input_1"].params["shape"]

    app = AppTest.from_function(_page, args=(project_id,), default_timeout=60).run()
    _pick(app, "Read as", "Log-mel spectrogram")
    assert shape() == [31, 40]
    assert any(one.value.startswith("Shape 31 × 40: 31 windows of 32 ms, a new one every 10 ms") for one in app.caption)
    next(box for box in app.number_input if box.label == "Mel bands").set_value(16).run()
    assert shape() == [31, 16]
    next(box for box in app.number_input if box.label == "Min (Hz)").set_value(2000.0).run()
    assert any("cannot go from 2000 to 2000 Hz" in error.value for error in app.error)
    assert shape() == [31, 16]
    _pick(app, "Read as", "Waveform")
    assert shape() == [1200, 1]
