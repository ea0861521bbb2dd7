"""A version of a dataset with collected examples: more training rows, and the same validation and test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.dataset_version import make_version, why_no_version
from netloom.document import DataChoice
from netloom.templates import templates


def of_template(name: str, home: Path) -> Prepared:
    return prepare(templates()[name].project.data, home)


def comparable(data: Prepared, split: str) -> list[tuple[dict[str, Any], str]]:
    places = sorted(data.split[split].tolist())
    rows = [{name: np.asarray(value).tolist() for name, value in data.row(place).items()} for place in places]
    return [(row, data.target_text(place)) for row, place in zip(rows, places, strict=True)]


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


@pytest.mark.parametrize("name", ["digits_mlp", "breast_cancer", "diabetes", "reviews_lstm", "clicks_deepfm", "mixed"])
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


def test_a_target_named_split_stays_the_target(home: Path) -> None:
    frame = pd.DataFrame({"x": range(60), "split": ["left", "right"] * 30})
    info = add_file(frame.to_csv(index=False).encode(), "sides.csv", home, target="split")
    data = prepare(DataChoice(dataset=info.name), home)
    version = make_version(data, [({"x": 61}, "left")], home, "More")
    assert prepare(DataChoice(dataset=version.name), home).schema.target.classes == ("left", "right")


def test_other_data_and_unfitting_examples_are_refused_in_words(home: Path) -> None:
    for name, words in (
        ("sine", "windows of a series"),
        ("shapes_unet", "one class or one number"),
        ("spoken_cnn", "of another kind"),
        ("parts_multimodal", "of another kind"),
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
    with pytest.raises(DataError, match="no image"):
        make_version(images, [({}, "1")], home, "x")
