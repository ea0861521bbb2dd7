"""A version of a dataset with collected examples: more training rows, and the same validation and test rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import JsonValue

from netloom.core.plain_json import JsonObject
from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.dataset_version import make_version, why_no_version
from netloom.data.preparation.fitted_state import with_fitted
from netloom.data.preparation.project_defaults import default_choice
from netloom.data.schema import DatasetInfo
from netloom.document import DataChoice
from netloom.runs.derived.retraining import why_not
from netloom.tasks import task
from netloom.templates import templates
from tests.data.brought import sounds as uploaded_sounds


def of_template(name: str, home: Path) -> Prepared:
    return prepare(templates()[name].project.data, home)


def comparable(data: Prepared, split: str) -> list[tuple[dict[str, Any], str]]:
    places = sorted(data.split[split].tolist())
    rows = [{name: np.asarray(value).tolist() for name, value in data.row(index).items()} for index in places]
    return [(row, data.target_text(index)) for row, index in zip(rows, places, strict=True)]


def mixed(home: Path) -> Prepared:
    """An uploaded table with codes that look like numbers, dates, missing values and a column named split."""
    random = np.random.default_rng(0)
    count = 200
    frame = pd.DataFrame(
        {
            "code": random.choice(["01", "02", "03"], count),
            "day": pd.date_range("2024-01-01", periods=count, freq="D").strftime("%Y-%m-%d"),
            "size": np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
            "split": random.choice(["left", "right"], count),
            "note": random.choice(['a, "b"', "c\nd"], count),
            "label": random.choice(["yes", "no"], count),
        }
    )
    info = add_file(frame.to_csv(index=False).encode(), "mixed.csv", home, target="label")
    return prepare(DataChoice(dataset=info.name), home)


@pytest.mark.parametrize(
    "name",
    [
        *("digits_mlp", "breast_cancer", "diabetes", "reviews_lstm", "clicks_deepfm", "mixed"),
        pytest.param("spoken_cnn", marks=pytest.mark.long),  # large; smaller sounds follow below
    ],
)
def test_version_has_more_training_rows_and_the_same_others(name: str, home: Path) -> None:
    data = mixed(home) if name == "mixed" else of_template(name, home)
    classes = data.schema.target.classes
    row = {key: np.asarray(value).tolist() for key, value in data.row(int(data.split["test"][0])).items()}
    label = classes[1] if classes else 123.5
    info = make_version(data, [(row, label), (row, label)], home, "Second version")
    version = prepare(DataChoice(dataset=info.name), home)
    assert info.title == "Second version"
    assert set(version.schema.target.classes) == set(classes)
    for split in ("validation", "test"):
        assert comparable(version, split) == comparable(data, split)
    training, before = comparable(version, "train"), comparable(data, "train")
    assert training[: len(before)] == before
    added = training[len(before) :]
    assert [item[0] for item in added] == [row, row]
    assert {item[1] for item in added} == {label if classes else "123.5"}


def test_several_targets_stay_and_corrected_ones_are_added(home: Path) -> None:
    """Numbers of several columns, and a class, whose names are numbers, beside a number."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 100))
    frame = pd.DataFrame({"x": x, "width": 1_000 * x + noise, "height": x / 100, "level": np.where(x > 0, "1", "2")})
    columns: dict[str, JsonValue] = {"level": {"kind": "category", "role": "target"}, "width": {"role": "target"}}
    numbers: dict[str, JsonValue] = {"width": {"role": "target"}, "height": {"role": "target"}}
    cases: list[tuple[str, dict[str, JsonValue], dict[str, Any]]] = [
        ("several_outputs", {**columns, "height": {"role": "ignore"}}, {"width": 1.5, "level": "2"}),
        ("regression", {**numbers, "level": {"role": "ignore"}}, {"width": 1.5, "height": -2.0}),
    ]
    for task_name, roles, label in cases:
        options: dict[str, JsonValue] = {"task": task_name, "columns": roles}
        info = add_file(frame.to_csv(index=False).encode(), "sizes.csv", home, options=options)
        data = prepare(DataChoice(dataset=info.name), home)
        assert why_no_version(data) == ""
        row = raw_row(data, 0)
        made = make_version(data, [(row, label), (row, label)], home, "More")
        version = prepare(DataChoice(dataset=made.name), home)
        assert version.schema.target.form == data.schema.target.form
        assert why_not(data, version) == ""
        true_label = task(task_name).true_label(version.schema)
        assert true_label is not None
        true_label = true_label.measured_with(data)
        for split in ("validation", "test", "train"):
            before, after = (sorted(item.split[split].tolist()) for item in (data, version))
            assert len(after) == len(before) + 2 * (split == "train")
            for old, new in zip(before, after, strict=False):
                assert version.row(new) == pytest.approx(data.row(old))
            labels = [true_label.of_rows(item, np.array(rows)) for item, rows in ((data, before), (version, after))]
            assert all(true_label.error(new, old) < 1e-4 for old, new in zip(*labels, strict=False))
        assert all(true_label.error(added, label) < 1e-4 for added in labels[1][-2:])
        with pytest.raises(DataError, match="label of example 1 has other targets than the data"):
            make_version(data, [(row, {"width": 1.5})], home, "Odd")


def test_a_version_with_an_unknown_class_of_several_targets_is_refused(home: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(40.0), "size": np.arange(40.0) ** 2, "level": ["low", "high"] * 20})
    columns: JsonValue = {name: {"role": "target"} for name in ("size", "level")}
    options: dict[str, JsonValue] = {"task": "several_outputs", "columns": columns}
    info = add_file(frame.to_csv(index=False).encode(), "levels.csv", home, options=options)
    data = prepare(DataChoice(dataset=info.name), home)
    with pytest.raises(DataError, match="'middle' of example 1 is not a class"):
        make_version(data, [({"x": 1.0}, {"size": 1.0, "level": "middle"})], home, "Odd")
    for old, new, words in (
        ("high", "middle", "has the classes low, middle"),
        ("size", "area", "target of the new data"),
    ):
        content = frame.to_csv(index=False).replace(old, new).encode()
        columns = {name: {"role": "target"} for name in (new if old == "size" else "size", "level")}
        other = add_file(content, "other.csv", home, options={**options, "columns": columns})
        assert words in why_not(data, prepare(DataChoice(dataset=other.name), home))


def test_examples_have_the_formats_of_the_training_file(home: Path) -> None:
    """Dates and numbers as a program sends them; in a version, other formats would make a column text."""
    lines = [
        f'{index % 28 + 1:02}.{index % 12 + 1:02}.2024 13:{index % 60:02},"$1,{index:03}",{index}.5%,{"ab"[index % 2]}'
        for index in range(60)
    ]
    content = "\n".join(["day,price,share,label", *lines]).encode()
    info = add_file(content, "goods.csv", home, target="label")
    data = prepare(DataChoice(dataset=info.name), home)
    rows: list[dict[str, Any]] = [
        {"day": "03.04.2024 13:05", "price": "$1,234", "share": "7.5%"},
        {"day": "2024-04-03T13:05:00", "price": 1234, "share": " 7.5 "},
        {"day": None, "price": "", "share": "-"},
    ]
    made = make_version(data, [(row, "a") for row in rows], home, "More")
    version = prepare(DataChoice(dataset=made.name), home)
    added = [version.row(index) for index in sorted(version.split["train"].tolist())[-3:]]
    days = 19_816 + (13 + 5 / 60) / 24
    assert added[0] == added[1]
    assert added[0]["day (days)"] == pytest.approx(days)
    assert (added[0]["price"], added[0]["share"]) == (1234.0, 7.5)
    assert (added[2]["day (days)"], added[2]["price"], added[2]["share"]) == (None, None, None)
    with pytest.raises(DataError, match="Example 1 does not fit the data: The column 'day' takes dates"):
        make_version(data, [({**rows[0], "day": "soon"}, "a")], home, "Odd")


def test_uploaded_sounds_stay_sounds_of_their_rate(home: Path) -> None:
    """As spectrograms with the scales of the first data; the added sound ends in silence."""
    info = add_file(uploaded_sounds(), "tones.zip", home)
    fields: JsonValue = {"sound": {"sound": "log-mel"}}
    choice = DataChoice(dataset=info.name, options={"seconds": 0.1, "fields": fields})
    data = prepare(choice, home)
    classes, row = data.schema.target.classes, raw_row(data, 0)
    row["sound"] = [value if place < 200 else [0.0] for place, value in enumerate(row["sound"])]
    made = make_version(data, [(row, classes[1])], home, "More")
    version = prepare(choice.model_copy(update={"dataset": made.name, "options": {"fields": fields}}), home)
    assert (made.kind, version.fields[0].sample_rate) == (info.kind, data.fields[0].sample_rate)
    assert why_no_version(version) == "", "a version of the version can be made"
    for split in ("validation", "test"):
        assert comparable(version, split) == comparable(data, split)
    added = int(max(version.split["train"]))
    assert raw_row(version, added) == row
    assert version.target_text(added) == classes[1]
    retrained = kept(version, data)
    assert torch.equal(retrained.encode(row)["sound"], data.encode(row)["sound"])


def added_arrays(home: Path, channels: int, rate: object) -> DatasetInfo:
    file = io.BytesIO()
    np.savez(file, x=np.zeros((20, 30, channels), np.float32), y=np.arange(20) % 2, sample_rate=np.array(rate))
    return add_file(file.getvalue(), "x.npz", home, kind="arrays", options={"input": "x", "target": "y"})


@pytest.mark.parametrize(
    ("channels", "rate", "kind"),
    [(1, 8_000, "audio"), (2, 8_000, "series"), (1, [8_000, 8_000], "series"), (1, "8 kHz", "series")],
)
def test_series_of_one_channel_with_a_sample_rate_are_sounds(
    channels: int, rate: object, kind: str, home: Path
) -> None:
    info = added_arrays(home, channels, rate)
    assert info.kind == kind
    data = prepare(default_choice(info.name, home), home)
    assert data.fields[0].sample_rate == (8_000 if kind == "audio" else 0)


def test_sample_rate_is_one_that_sounds_have(home: Path) -> None:
    with pytest.raises(DataError, match="'sample_rate' has to be one number from 1,000 to 192,000"):
        added_arrays(home, 1, 0)


def test_sets_of_labels_stay_and_corrected_ones_are_added(home: Path) -> None:
    """Also rows without a label. The labels of an upload are in alphabetical order."""
    data = of_template("scenes_labels", home)
    true_label = task("multi_label").true_label(data.schema)
    assert true_label is not None
    row, label = raw_row(data, int(data.split["test"][0])), true_label.parse("triangle, cross")
    info = make_version(data, [(row, label), (row, [])], home, "More")
    version = prepare(DataChoice(dataset=info.name), home)
    after = task("multi_label").true_label(version.schema)
    assert after is not None
    assert true_label.is_comparable(after), "the promotion of a run on the version compares the same labels"
    for part in ("validation", "test"):
        rows, others = (np.array(sorted(one.split[part].tolist())) for one in (data, version))
        labels = true_label.of_rows(data, rows)
        assert [] in labels
        assert after.of_rows(version, others) == labels
        assert np.array_equal(data.raw.pixels[rows], version.raw.pixels[others])  # type: ignore[attr-defined]
    added = np.array(sorted(version.split["train"].tolist()))[-2:]
    assert after.of_rows(version, added) == [["cross", "triangle"], []]
    retrained = with_fitted(version, data.preprocess)  # its outputs are in the order of the run
    assert retrained.schema.target.classes == data.schema.target.classes != version.schema.target.classes
    assert true_label.of_rows(retrained, added) == [["cross", "triangle"], []]
    with pytest.raises(DataError, match="'star' of example 1 is not a class"):
        make_version(data, [(row, ["star"])], home, "x")


def test_a_target_named_split_stays_the_target(home: Path) -> None:
    frame = pd.DataFrame({"x": range(60), "split": ["left", "right"] * 30})
    info = add_file(frame.to_csv(index=False).encode(), "sides.csv", home, target="split")
    data = prepare(DataChoice(dataset=info.name), home)
    version = make_version(data, [({"x": 61}, "left")], home, "More")
    assert prepare(DataChoice(dataset=version.name), home).schema.target.classes == ("left", "right")


def test_other_data_and_unfitting_examples_are_refused_in_words(home: Path) -> None:
    for name, words in (
        ("sine", "windows of a series"),
        ("tales_gpt", "predicting the next token"),
        ("parts_multimodal", "of another kind"),
        ("shapes_two_outputs", "several targets per row can be made of tables"),
    ):
        data = of_template(name, home)
        assert words in why_no_version(data)
        with pytest.raises(DataError, match=words):
            make_version(data, [], home, "x")
    table, images = of_template("breast_cancer", home), of_template("digits_mlp", home)
    assert why_no_version(table) == ""
    with pytest.raises(DataError, match="'unknown' of example 1 is not a class"):
        make_version(table, [(table.row(0), "unknown")], home, "x")
    with pytest.raises(DataError, match="Example 2 has no value for 'mean radius'"):
        make_version(table, [(table.row(0), "benign"), ({}, "benign")], home, "x")
    with pytest.raises(DataError, match="has the shape"):
        make_version(images, [({"image": [[1.0]]}, "1")], home, "x")
    shapes, requests = of_template("shapes_unet", home), of_template("commands_joint", home)
    with pytest.raises(DataError, match="label of example 1 is not a mask"):
        make_version(shapes, [(shapes.row(0), [[0, 1]])], home, "x")
    boxes = of_template("shapes_detector", home)
    with pytest.raises(DataError, match="label of example 1 has an object of an unknown class"):
        make_version(boxes, [(boxes.row(0), [{"class": "house", "box": [0, 0, 1, 1]}])], home, "x")
    with pytest.raises(DataError, match="label of example 1 has no tags; add a tag"):
        make_version(requests, [({"text": "wake me"}, "weather")], home, "x")
    with pytest.raises(DataError, match="no image"):
        make_version(images, [({}, "1")], home, "x")
    sounds = of_template("spoken_cnn", home)
    with pytest.raises(DataError, match="A collected sound has the shape"):
        make_version(sounds, [({"sound": [0.0, 0.5]}, "one")], home, "x")
    with pytest.raises(DataError, match="no sound"):
        make_version(sounds, [({}, "one")], home, "x")


def raw_row(data: Prepared, place: int) -> dict[str, Any]:
    """A raw row as the JSON in which examples are collected."""
    return {name: np.asarray(value).tolist() for name, value in data.row(place).items()}


def kept(version: Prepared, data: Prepared) -> Prepared:
    """A version as a retrained run reads it."""
    return with_fitted(version, data.preprocess)


@pytest.mark.parametrize(
    "name",
    ["requests_tagger", "dates_gru", "station_dlinear", "commands_joint", "shapes_unet", "shapes_detector"],
)
def test_tags_texts_and_forecasts_become_training_rows_and_the_others_stay(name: str, home: Path) -> None:
    """Encoded as those of the run, the rows of all parts are equal to the bit, and the corrected label is learned."""
    data = of_template(name, home)
    assert why_no_version(data) == ""
    true_label = task(templates()[name].project.training.objective).true_label(data.schema)
    assert true_label is not None
    row = raw_row(data, int(data.split["test"][0]))
    [label] = true_label.of_rows(data, data.split["validation"].numpy()[:1])
    if name == "requests_tagger":
        label = true_label.proposed(data, row)
        label[-1] = "B-person"
    if name == "commands_joint":
        label = {"class": label["class"], "tags": true_label.proposed(data, row)["tags"]}
    info = make_version(data, [(row, true_label.check(label))] * 2, home, "Second version")
    version = kept(prepare(DataChoice(dataset=info.name, split="given"), home), data)
    assert version.schema.target.number_names == data.schema.target.number_names
    assert version.schema.target.classes == data.schema.target.classes
    assert len(version.split["train"]) == len(data.split["train"]) + 2
    for part in ("validation", "test"):
        old, new = sorted(data.split[part].tolist()), sorted(version.split[part].tolist())
        assert len(old) == len(new) > 20
        for field in data.inputs:
            assert torch.equal(data.inputs[field][old], version.inputs[field][new])
        assert torch.equal(data.target[old], version.target[new])
    added = version.inputs[data.fields[0].name] == data.encode(row)[data.fields[0].name]
    matches = set(torch.nonzero(added.flatten(1).all(1)).flatten().tolist()) & set(version.split["train"].tolist())
    assert len(matches) >= 2
    labels = true_label.of_rows(version, np.array(sorted(matches)))
    assert sum(true_label.error(found, label) < 1e-4 for found in labels) == 2


def test_unfitting_labels_of_tags_and_forecasts_are_refused(home: Path) -> None:
    tagged, station = of_template("requests_tagger", home), of_template("station_dlinear", home)
    with pytest.raises(DataError, match="Example 1 has 3 words and punctuation marks, but 2 tags"):
        make_version(tagged, [({"text": "wake me up"}, ["O", "O"])], home, "x")
    with pytest.raises(DataError, match="'B-fruit' of example 1 is not a tag"):
        make_version(tagged, [({"text": "apple"}, ["B-fruit"])], home, "x")
    with pytest.raises(DataError, match="Example 1 is not a window of 48 steps of 3 series"):
        make_version(station, [({"series": [[1.0]]}, {})], home, "x")
    gap = raw_row(station, 0)
    gap["series"][3][0] = None
    with pytest.raises(DataError, match="Example 1 is not a window of 48 steps of 3 series with a number for each"):
        make_version(station, [(gap, {})], home, "x")
    with pytest.raises(DataError, match="0 numbers for 'temperature', but the horizon is 6"):
        make_version(station, [(raw_row(station, 0), {})], home, "x")


def test_several_series_keep_their_parts(home: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "day": np.tile(pd.date_range("2024-01-01", periods=80, freq="D").strftime("%Y-%m-%d"), 3),
            "shop": np.repeat(["a", "b", "c"], 80),
            "sales": random.normal(size=240),
        }
    )
    options: JsonObject = {"window": 6, "horizon": 2, "target": ["sales"]}
    info = add_file(frame.to_csv(index=False).encode(), "sales.csv", home, kind="series", options=options)
    data = prepare(DataChoice(dataset=info.name), home)
    assert why_no_version(data) == ""
    version = make_version(data, [(raw_row(data, 0), [1.0, 2.0])], home, "More")
    after = kept(prepare(DataChoice(dataset=version.name, split="given"), home), data)
    assert len(after.split["train"]) == len(data.split["train"]) + 1
    for part in ("validation", "test"):
        rows = [
            sorted(map(tuple, torch.cat([item.inputs["series"].flatten(1), item.target], 1)[item.split[part]].tolist()))
            for item in (data, after)
        ]
        assert rows[0] == rows[1]


def test_series_with_other_dates_are_refused_if_their_parts_have_gaps(home: Path) -> None:
    days = [pd.date_range(start, periods=80, freq="D").strftime("%Y-%m-%d") for start in ("2024-01-01", "2024-02-15")]
    frame = pd.DataFrame({"day": np.concatenate(days), "shop": np.repeat(["a", "b"], 80), "sales": np.arange(160.0)})
    options: JsonObject = {"window": 6, "horizon": 2, "target": ["sales"]}
    info = add_file(frame.to_csv(index=False).encode(), "dates.csv", home, kind="series", options=options)
    data = prepare(DataChoice(dataset=info.name), home)
    assert "leaves out time steps between its parts" in why_no_version(data)


def test_an_example_with_a_list_has_the_values_of_a_set(home: Path) -> None:
    tags = ["a|c", "b", "a|b|c", "c"] * 20
    frame = pd.DataFrame({"tags": tags, "x": range(80), "y": ["left", "right"] * 40})
    info = add_file(frame.to_csv(index=False).encode(), "tags.csv", home, target="y")
    columns: JsonValue = {"tags": {"kind": "set"}}
    data = prepare(DataChoice(dataset=info.name, options={"columns": columns}), home)
    row = {"tags": ["c", "a"], "x": 81}
    version = with_fitted(
        prepare(DataChoice(dataset=make_version(data, [(row, "left")], home, "More").name), home), data.preprocess
    )
    added = int(max(version.split["train"]))
    assert torch.equal(version.inputs["features"][added], data.encode(row)["features"][0])
