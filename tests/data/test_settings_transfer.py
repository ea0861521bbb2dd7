"""Transferring a document's settings to other data, and referring to uploads by title."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.data import DataError, add_file, prepare, remove, schema, with_dataset_id
from netloom.data.preparation.settings_transfer import carried, preprocessing
from netloom.document import DataChoice
from tests.data.crafted import make_csv
from tests.networks import TABLE, chain


def table(head: str, home: Path, name: str) -> str:
    """Five columns of numbers, categories, texts and dates, and a class."""
    rows = (
        f"{i % 7},{'rgb'[i % 3]},2024-01-{1 + i % 28:02},{i % 5},{'pq'[i % 2]},{('train', 'test', 'val')[i % 3]}"
        for i in range(60)
    )
    return add_file(make_csv(head, rows), f"{name}.csv", home, name=name).name


SAID: dict[str, Any] = {
    "target": "kind",
    "columns": {
        "size": {"scale": "minmax", "indicator": True},
        "color": {"encode": "index"},
        "day": {"parts": ["month"]},
        "weight": {"role": "ignore"},
    },
    "fields": {"text": {"length": 9}},
}


def test_transfer_keeps_fitting_settings_and_names_others(home: Path) -> None:
    first = table("size,color,day,weight,kind,part", home, "first")
    similar = table("size,color,day,weight,kind,part", home, "alike")
    other = table("size,day,color,mass,kind,part", home, "other")
    options = {name: value for name, value in SAID.items() if name != "fields"}
    choice = DataChoice(dataset=first, options=options, seed=5, split="random", duplicates="drop", test=0.3)
    transferred, remarks = carried(choice, similar, home)
    assert (transferred, remarks) == (choice.model_copy(update={"dataset": similar}), [])
    transferred, remarks = carried(choice.model_copy(update={"options": SAID, "split": "stratified"}), other, home)
    # Here, day and color are swapped, and weight is named mass.
    assert transferred.options == {"target": "kind", "columns": {"size": SAID["columns"]["size"]}}
    assert (transferred.seed, transferred.split, transferred.duplicates, transferred.test) == (
        5,
        "stratified",
        "drop",
        0.3,
    )
    remark_parts = [remark.partition(" does not fit the new data and is left out: ") for remark in remarks]
    assert [setting for setting, _, _ in remark_parts] == [
        "The setting of the column 'color' in the document",
        "The setting of the column 'day' in the document",
        "The setting of the column 'weight' in the document",
        "The setting of the field 'text' in the document",
    ]
    assert "which has no setting 'encode'" in remark_parts[0][2]
    assert "There is no column 'weight'" in remark_parts[2][2]
    assert prepare(transferred, home).schema.target.name == "kind"


def test_transfer_names_an_unavailable_split(home: Path) -> None:
    first = table("size,color,day,weight,kind,part", home, "first")
    rows = (f"{i},{i % 3},{'pq'[i % 2]}" for i in range(60))
    plain = add_file(make_csv("size,weight,kind", rows), "plain.csv", home).name
    options: dict[str, Any] = {"columns": {"part": {"role": "split"}}}
    transferred, remarks = carried(DataChoice(dataset=first, options=options, split="given"), plain, home)
    assert (transferred.options, transferred.split) == ({}, "auto")
    assert len(remarks) == 2
    assert remarks[1].startswith("The split 'given' of the document does not fit the new data")
    transferred, remarks = carried(DataChoice(dataset=first, options={"target": "part"}), "wine", home)
    assert transferred == DataChoice(dataset="wine")
    assert remarks[0].startswith("The option 'target' of the document does not fit")


def test_preprocessing_excludes_roles_and_target() -> None:
    assert preprocessing({"columns": {"a": {"role": "target"}, "b": {"scale": "none"}}, "target": "a"}) == {
        "columns": {"b": {"scale": "none"}}
    }
    assert preprocessing({"target": "a", "fields": {"text": {"length": 3}}}) == {"fields": {"text": {"length": 3}}}


def test_upload_is_found_by_a_unique_title(home: Path) -> None:
    head = "size,color,day,weight,kind,part"
    name = table(head, home, "Goods of 2024")
    by_title = DataChoice(dataset="Goods of 2024")
    assert schema(by_title, home) == schema(DataChoice(dataset=name), home)
    assert prepare(by_title, home) is prepare(DataChoice(dataset=name), home), "the title and the name give one dataset"
    project = chain(TABLE, ("Linear", {"units": 2}), data=by_title)
    assert with_dataset_id(project, home).data.dataset == name
    for other in ("wine", "nothing of the kind", ""):
        with_other_data = project.model_copy(update={"data": DataChoice(dataset=other)})
        assert with_dataset_id(with_other_data, home) is with_other_data
    second = table(head, home, "Goods of 2024")
    with pytest.raises(DataError) as caught:
        schema(by_title, home)
    assert str(caught.value).startswith("2 datasets are called 'Goods of 2024'; use one of their ids: ")
    assert name in str(caught.value)
    assert second in str(caught.value)
    remove(name, home)
    assert with_dataset_id(project, home).data.dataset == second
