"""The editor of columns and splits: its changes enter the document or are rejected with a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom.data import add_file, schema
from netloom.data.quality.overview import columns
from netloom.document import DataChoice
from netloom.editing.live import Live
from netloom.store import open_store
from netloom.templates import templates
from netloom.templates.starting import fit
from netloom.ui.data.column_table import changed_options
from netloom.ui.data.target_picker import reading_edit
from tests.data.samples import csv_from_columns
from tests.data.test_columns import mixed
from tests.networks import chain


@pytest.fixture
def live(home: Path) -> Live:
    """A project that reads a table of many kinds of columns."""
    st.cache_resource.clear()
    table = mixed()
    titles = [text.title() for text in table["note"]]  # not prose, so the column is ignored
    info = add_file(csv_from_columns({**table, "note": titles}), "houses.csv", home, target="label")
    table_schema = schema(DataChoice(dataset=info.name), home)
    assert table_schema is not None
    source = ("Input", table_schema.inputs[0].parameters())
    project = chain(source, ("Linear", {"units": 2}), data=DataChoice(dataset=info.name))
    store = open_store(home)
    return Live(store, store.create_project(project))


def edit_columns(live: Live, **changes: dict[str, Any]) -> None:
    """Apply changes to rows of the table as the page does."""
    table_columns = columns(live.project.data, live.store.home)
    live.apply(reading_edit(live, {"options": changed_options(live, table_columns, changes)}))


def column_options(live: Live) -> Any:
    return live.project.data.options.get("columns")


def test_column_edits_enter_the_document_and_undo(live: Live) -> None:
    before = live.project
    edit_columns(
        live, price={"Preprocessing": "Quantiles, normal", "Missing indicator": True}, kind={"Imputation": "Constant"}
    )
    assert column_options(live) == {
        "price": {"scale": "normal", "indicator": True}, "kind": {"impute": "constant", "fill": "missing"},
    }  # fmt: skip
    assert Live(live.store, live.id).project == live.project  # and it was saved
    edit_columns(live, price={"Missing indicator": False}, kind={"Imputation": "Separate category"})
    assert column_options(live) == {"price": {"scale": "normal"}}
    for _ in range(2):
        live.apply({"kind": "undo"})
    assert live.project == before


def test_input_shape_follows_its_columns(live: Live) -> None:
    shape_before: Any = live.project.main_network.nodes["input_1"].params["shape"]
    edit_columns(live, price={"Role": "ignore"}, when={"Role": "ignore"})
    shape_after = live.project.main_network.nodes["input_1"].params["shape"]
    assert shape_after == [shape_before[0] - 4]  # a number, and the three parts of a date
    assert not [issue for issue in live.analysis().issues if issue.severity == "error"]


def test_new_target_replaces_a_class_but_joins_a_number(live: Live) -> None:
    edit_columns(live, size={"Role": "target"})
    assert column_options(live) == {"size": {"role": "target"}, "label": {"role": "input"}}
    assert live.project.training.objective == "regression"
    edit_columns(live, house={"Role": "target"})
    table_schema = live.schema()
    assert table_schema is not None
    assert (table_schema.target.name, table_schema.target.shape) == ("size, house", (2,))
    edit_columns(live, label={"Role": "target"})
    assert live.project.training.objective == "classification"
    assert [column.name for column in columns(live.project.data, live.store.home) if column.role == "target"] == [
        "label"
    ]


def test_changed_column_kind_resets_its_options(live: Live) -> None:
    edit_columns(live, rooms={"Preprocessing": "Min-max", "Missing indicator": True})
    edit_columns(live, rooms={"Kind": "category"})
    assert column_options(live) == {"rooms": {"kind": "category"}}
    edit_columns(live, rooms={"Preprocessing": "Ordinal, separate field"})
    table_schema = live.schema()
    assert table_schema is not None
    assert [field.name for field in table_schema.inputs] == ["features", "rooms"]


def test_ignored_text_column_can_become_an_input(live: Live) -> None:
    edit_columns(live, note={"Role": "input"})
    table_schema = live.schema()
    assert table_schema is not None
    assert [field.kind for field in table_schema.inputs] == ["vector", "tokens"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": {"Kind": "number"}}, "holds no numbers"),
        ({"kind": {"Preprocessing": "Min-max"}}, "has no setting 'scale'"),
        ({"price": {"Role": "weight"}}, "missing"),
        ({"label": {"Role": "input"}}, "nothing to predict"),
    ],
)
def test_invalid_column_edit_is_rejected_without_changes(live: Live, change: dict[str, Any], words: str) -> None:
    before = live.project
    with pytest.raises(ValueError, match=words):
        edit_columns(live, **change)
    assert live.project == before


def _page(project_id: str) -> None:
    """The editor as a script of its own."""
    from netloom.data import datasets, prepare
    from netloom.editing.live import Live
    from netloom.store import open_store
    from netloom.ui.data.schema_editor import schema_editor

    store = open_store()
    live = Live(store, project_id)
    info = next(info for info in datasets(store.home) if info.name == live.project.data.dataset)
    schema_editor(store, live, info, prepare(live.project.data, store.home))


def test_split_settings_change_the_row_counts(live: Live) -> None:
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


def test_split_column_disables_the_test_share(home: Path) -> None:
    st.cache_resource.clear()
    parts = ("train", "train", "test")
    table = "\n".join(["a,kind,split", *(f"{row},{'pq'[row % 2]},{parts[row % 3]}" for row in range(60))])
    info = add_file(table.encode(), "parted.csv", home)
    choice = DataChoice(dataset=info.name)
    table_schema = schema(choice, home)
    assert table_schema is not None
    store = open_store(home)
    key = store.create_project(
        chain(("Input", table_schema.inputs[0].parameters()), ("Linear", {"units": 2}), data=choice)
    )
    app = AppTest.from_function(_page, args=(key,), default_timeout=60).run()
    boxes = {box.label: box.disabled for box in app.number_input}
    assert (boxes["Validation"], boxes["Test"]) == (False, True)  # the validation rows come from the training rows
    next(box for box in app.selectbox if box.label == "Split method").select("random").run()
    assert not any(box.disabled for box in app.number_input)


def _select(app: AppTest, label: str, value: Any) -> None:
    boxes = [*app.multiselect, *app.selectbox]
    next(box for box in boxes if box.label == label).set_value(value).run()
    assert not app.exception


def test_target_selection_sets_the_objective(live: Live) -> None:
    app = AppTest.from_function(_page, args=(live.id,), default_timeout=60).run()
    _select(app, "Target", ["label", "size"])
    reopened = Live(live.store, live.id)
    assert reopened.project.training.objective == "several_outputs"
    table_schema = reopened.schema()
    assert table_schema is not None
    assert {part.name: part.kind for part in table_schema.target.parts} == {"label": "class", "size": "number"}
    _select(app, "Target", [])
    assert "at least one target column" in app.error[0].value
    _select(app, "Target", ["size"])
    assert Live(live.store, live.id).project.training.objective == "regression"


def test_multi_label_target_splits_cells_into_labels(home: Path) -> None:
    genres = ["drama", "drama;action", "", "action;comedy"] * 20
    info = add_file(
        csv_from_columns({"year": range(80), "genres": genres}),
        "films.csv",
        home,
        target="genres",
        options={"task": "classification"},
    )
    store = open_store(home)
    project_id = store.create_project(chain(("Linear", {"units": 3}), data=DataChoice(dataset=info.name)))
    app = AppTest.from_function(_page, args=(project_id,), default_timeout=60).run()
    _select(app, "Target type", "multi_label")
    reopened = Live(store, project_id)
    table_schema = reopened.schema()
    assert table_schema is not None
    assert (table_schema.target.classes, reopened.project.training.objective) == (
        ("action", "comedy", "drama"),
        "multi_label",
    )


def test_sound_input_switches_between_spectrogram_and_waveform(home: Path) -> None:
    st.cache_resource.clear()
    choice = DataChoice(dataset="spoken", options={"rows": 60})
    source = ("Input", {"field": "sound", "kind": "sequence", "shape": [1200, 1]})
    store = open_store(home)
    project_id = store.create_project(chain(source, ("Flatten", {}), ("Linear", {"units": 10}), data=choice))

    def shape() -> Any:
        return Live(store, project_id).project.main_network.nodes["input_1"].params["shape"]

    app = AppTest.from_function(_page, args=(project_id,), default_timeout=60).run()
    _select(app, "Read as", "Log-mel spectrogram")
    assert shape() == [31, 40]
    assert any(
        caption.value.startswith("Shape 31 × 40: 31 windows of 32 ms, a new one every 10 ms") for caption in app.caption
    )
    next(box for box in app.number_input if box.label == "Mel bands").set_value(16).run()
    assert shape() == [31, 16]
    next(box for box in app.number_input if box.label == "Min (Hz)").set_value(2000.0).run()
    assert any("cannot go from 2000 to 2000 Hz" in error.value for error in app.error)
    assert shape() == [31, 16]
    _select(app, "Read as", "Waveform")
    assert shape() == [1200, 1]


def test_other_columns_are_forecast_after_an_edit_of_the_page(home: Path) -> None:
    st.cache_resource.clear()
    step = np.arange(120.0)
    hours = pd.date_range("2024-01-01", periods=120, freq="h")
    table = pd.DataFrame({"time": hours, "sun": step, "rain": 2 * step, "wind": -step})
    info = add_file(table.to_csv(index=False).encode(), "weather.csv", home, kind="series", options={"target": "sun"})
    choice = DataChoice(dataset=info.name)
    project = fit(templates()["sine"].project, choice, "Forecast", home)
    assert project is not None
    store = open_store(home)
    project_id = store.create_project(project.project)
    app = AppTest.from_function(_page, args=(project_id,), default_timeout=60).run()
    assert not app.exception
    targets = next(widget for widget in app.multiselect if widget.label == "Columns to predict")
    assert targets.value == ["sun"]
    targets.set_value(["sun", "rain"]).run()
    horizon = next(widget for widget in app.number_input if widget.label == "Horizon")
    horizon.set_value(4).run()
    assert not app.exception
    document = Live(store, project_id).project.data
    assert (document.options["target"], document.options["horizon"]) == (["sun", "rain"], 4)
    changed = schema(document, home)
    assert changed is not None
    assert changed.target.number_names[4] == "rain +1"
