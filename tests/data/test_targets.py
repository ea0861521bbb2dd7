"""Table targets beyond a single class or number."""

from __future__ import annotations

from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from netloom.data import DataError, add_file, prepare
from netloom.data.quality.summary import statistics
from netloom.data.tables.table_dataset import table_to_raw
from netloom.data.targets.registry import target_of
from netloom.data.uploads import open_source, read_upload, readers
from netloom.data.uploads.tabular import holds_sets
from netloom.data.uploads.upload_meta import read_meta, write_meta
from netloom.document import DataChoice
from tests.data.crafted import make_zip, noise_image

TARGET = {"role": "target"}
TABLE = pd.DataFrame(
    {
        "size": [float(row) for row in range(80)],
        "topics": ["sport;news", "news", "", "music; sport", "news;music;news", None, "sport", "music"] * 10,
        "kind": ["a", "b"] * 40,
        "price": [row * 2.5 for row in range(80)],
        "hot": ["yes", "no"] * 40,
        "cheap": [0, 1, 1, 0] * 20,
    }
)


def read(**options: Any) -> Any:
    return table_to_raw(TABLE, options, "Things")


def test_cells_may_hold_several_labels() -> None:
    raw = read(target="topics", task="multi_label")
    assert (raw.target_kind, raw.classes) == ("labels", ("music", "news", "sport"))
    assert raw.target[:6].tolist() == [[0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert len(raw) == 80  # rows without labels are kept


SCENES = ["haze primary", "clear primary road", "clear", "haze", "clear road", "primary", "clear primary", "road haze",
          "clear haze road primary"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cells", "are_labels"),
    [
        ("tags", SCENES, True),
        ("command", SCENES, False),
        ("labels", ["New York", "New Jersey", "Ohio", "South Dakota", "North Dakota", "West Virginia"], False),
        ("labels", [f"{color} {thing}" for color in "abcd" for thing in "efgh"], False),
    ],
)
def test_words_are_labels_where_the_name_and_the_cells_say_so(name: str, cells: list[str], are_labels: bool) -> None:
    content = f"size,{name}\n" + "".join(f"{row},{cells[row % len(cells)]}\n" for row in range(80))
    source = open_source(content.encode(), "scenes.csv")
    questions = {question.name: question.default for question in readers()["table"].questions(source, {"target": name})}
    assert (questions["task"] == "multi_label") == are_labels
    if are_labels:
        frame = pd.DataFrame({"size": range(len(cells)), name: cells})
        assert table_to_raw(frame, {"target": name, "task": "multi_label"}, "Scenes").classes == (
            "clear", "haze", "primary", "road",
        )  # fmt: skip


def scenes(name: str) -> tuple[bytes, str]:
    """A table of 80 scenes with labels in the column `tags`, or images beside such a table, and the file name."""
    tags = [SCENES[row % len(SCENES)] for row in range(80)]
    if name == "scenes.csv":
        return "\n".join(["size,tags", *(f"{row},{cell}" for row, cell in enumerate(tags))]).encode(), name
    images = {f"{row}.png": noise_image(row) for row in range(80)}
    table = "\n".join(["image,tags", *(f"{row}.png,{cell}" for row, cell in enumerate(tags))])
    return make_zip({**images, "tags.csv": table.encode()}), name


@pytest.mark.parametrize("memory_mib", ["1000", "0.001"])
@pytest.mark.parametrize("name", ["scenes.csv", "scenes.zip"])
def test_labels_are_separated_as_when_the_data_was_added(
    name: str, memory_mib: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "scenes.csv":
        monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", memory_mib)
    folder = home / "data" / add_file(*scenes(name), home, options={"task": "multi_label"}).name
    stored = read_meta(folder)
    assert stored["blank_labels"] == ["tags"]
    words, cells = ("clear", "haze", "primary", "road"), tuple(sorted(SCENES))

    def classes() -> tuple[str, ...]:
        write_meta(folder, stored)
        raw = read_upload(DataChoice(dataset=folder.name), home)
        assert raw.target_kind == "labels"
        return raw.classes

    assert classes() == words
    del stored["blank_labels"]  # as version 0.2.0 wrote it
    assert classes() == words
    del stored["validation_of"]  # as version 0.1.0 wrote it
    assert classes() == cells
    stored["blank_labels"] = []  # as the rule of a later version may find
    assert classes() == cells


def test_numbers_are_not_written_as_texts_to_look_for_labels() -> None:
    numbers = pd.DataFrame({"price": torch.randn(20_000).numpy()})
    started = process_time()
    assert not holds_sets(numbers, "price")
    checked = process_time()
    numbers["price"].astype(str)
    assert checked - started < (process_time() - checked) / 4


def test_boolean_columns_become_labels() -> None:
    columns = {"hot": {"role": "target"}, "cheap": {"role": "target"}}
    raw = read(target="hot", task="multi_label", columns=columns)
    assert (raw.target_kind, raw.classes) == ("labels", ("hot", "cheap"))
    assert raw.target[:4].tolist() == [[1, 0], [0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"target": "kind", "task": "multi_label", "columns": {"cheap": TARGET, "kind": TARGET}},
            "takes yes or no",
        ),
        ({"target": "topics", "task": "multi_label", "separator": ""}, "1 to 10 characters between labels"),
        ({"target": "kind", "task": "several_outputs"}, "need several targets"),
        ({"target": "kind", "task": "labelling"}, "The option task is"),
    ],
)  # fmt: skip
def test_invalid_target_options_are_rejected_with_a_message(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(**options)


@pytest.mark.parametrize("quote", ['"', "'"])
def test_cells_may_hold_lists_of_labels(quote: str) -> None:
    cells = ["[a, b]", "[b]", "[]", '["d, e"]'] * 20
    texts = [cell.replace("a", f"{quote}a{quote}").replace("b", f"{quote}b{quote}") for cell in cells]
    raw = table_to_raw(TABLE.assign(topics=texts), {"target": "topics", "task": "multi_label"}, "Things")
    assert raw.classes == ("a", "b", "d, e")
    assert raw.target[:4].tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("cells", "noted"),
    [
        (["sport;news", "news", "music; sport", "music"], True),
        (['["sport", "news"]', '["sport"]', "[]", '["art", "news"]'], True),
        (["Smith, Ann", "Jones, Bo", "Lee, Cy", "Smith, Al"], False),
        (["Sales; Marketing", "Finance", "Legal", "IT"], False),
        (["Iris-setosa", "Iris-virginica"] * 2, False),
    ],
)
def test_sets_of_labels_that_are_read_as_classes_are_noted(cells: list[str], noted: bool) -> None:
    table = TABLE.assign(topics=cells * 20)
    [note] = [text for text in table_to_raw(table, {"target": "topics"}, "Things").warnings if "sets" in text] or [""]
    assert ("task=multi_label" in note) is noted
    chosen = table_to_raw(table, {"target": "topics", "task": "classification"}, "Things")
    assert not any("sets" in text for text in chosen.warnings)


def test_targets_that_are_equal_in_the_training_rows_are_not_divided_by_a_rounding_error() -> None:
    count = 69  # whose mean is not exactly 0.1
    prices, rates = [0.1] * count + [5.0], [1.1] * count + [6.0]
    table = pd.DataFrame({"size": range(70), "price": prices, "rate": rates, "kind": ["a", "b"] * 35})
    for other, task in (("rate", "regression"), ("kind", "several_outputs")):
        columns = {"price": TARGET, other: TARGET}
        raw = table_to_raw(table, {"target": "price", "task": task, "columns": columns}, "Things")
        fitted = target_of(raw.target_kind).fit(raw, np.arange(count))
        numbers = getattr(fitted, "parts", (fitted,))[0]
        assert set(numbers.std) == {1.0}


def test_label_separator_can_be_set() -> None:
    table = TABLE.assign(topics=["x/y", "y"] * 40)
    raw = table_to_raw(table, {"target": "topics", "task": "multi_label", "separator": "/"}, "Things")
    assert raw.classes == ("x", "y")


def test_upload_supports_multi_label_and_multiple_targets(home: Path) -> None:
    info = add_file(TABLE.to_csv(index=False).encode(), "things.csv", home, target="kind")
    labelled = prepare(DataChoice(dataset=info.name, options={"target": "topics", "task": "multi_label"}), home)
    assert labelled.schema.target.kind == "labels"
    assert labelled.target.dtype == torch.float32
    assert labelled.target_text(0) == "news, sport"
    assert labelled.target_text(2) == "none"
    columns = {"kind": {"role": "target"}, "price": {"role": "target"}}
    options: dict[str, Any] = {"target": "kind", "task": "several_outputs", "columns": columns}
    multiple = prepare(DataChoice(dataset=info.name, options=options), home)
    assert [(part.kind, part.name) for part in multiple.schema.target.parts] == [("class", "kind"), ("number", "price")]
    learned = TABLE["price"].to_numpy()[multiple.split["train"].numpy()]
    scaled = (TABLE["price"] - learned.mean()) / learned.std()
    assert multiple.target[:, 1].tolist() == pytest.approx(scaled.tolist(), rel=1e-5)
    assert multiple.target[:, 0].tolist() == [0.0, 1.0] * 40
    assert multiple.target_text(3) == "kind: b, price: 7.5"


def test_task_is_inferred_when_absent() -> None:
    assert read(target="kind").target_kind == "class"
    assert (
        read(target="cheap", columns={"cheap": {"role": "target"}, "price": {"role": "target"}}).target_kind == "number"
    )


def test_labels_and_tags_are_counted(home: Path) -> None:
    info = add_file(TABLE.to_csv(index=False).encode(), "things.csv", home, target="kind")
    labelled = prepare(DataChoice(dataset=info.name, options={"target": "topics", "task": "multi_label"}), home)
    assert statistics(labelled).classes == {"music": 30, "news": 30, "sport": 30}
    tagged = add_file(b"Ann B-person\nleft O\n\nBo B-person\nand O\nCy B-person\n" * 20, "tags.txt", home)
    counted = prepare(DataChoice(dataset=tagged.name), home)
    assert statistics(counted).classes == {"O": 40, "B-person": 60, "I-person": 0}
    assert counted.schema.target.type.counted == "words"
