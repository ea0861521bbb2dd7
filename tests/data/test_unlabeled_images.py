"""Images without labels beside labeled ones are left out with a note, and are not a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.data import prepare
from netloom.data.uploads import add_file, fitting, open_source
from netloom.document import DataChoice
from tests.data.brought import bars, png
from tests.data.crafted import make_csv, make_zip

PIXELS, LABELS = bars(40)
NAMES = ("lying", "standing")


def labeled(pattern: str) -> dict[str, bytes]:
    return {pattern.format(name=NAMES[label], i=i): png(PIXELS[i]) for i, label in enumerate(LABELS)}


def unlabeled(pattern: str, count: int = 12) -> dict[str, bytes]:
    return {pattern.format(i=i): png(PIXELS[i]) for i in range(count)}


@pytest.mark.parametrize(
    ("with_labels", "without"),
    [
        ("labelled/{name}/{i}.png", "unlabelled/{i}.png"),
        ("set/{name}/{i}.png", "set/unlabeled/{i}.png"),
        ("train/{name}/{i}.png", "test/{i}.png"),
        ("{name}/{i}.png", "{i}.png"),
        ("train/{name}/{i}.png", "unsup/{i}.png"),
        ("set/{name}/{i}.png", "set/{i}.png"),
        ("set/{name}/{i}.png", "to_predict/{i}.png"),
    ],
)
def test_images_without_a_folder_of_a_class_are_left_out(with_labels: str, without: str, home: Path) -> None:
    content = make_zip({**labeled(with_labels), **unlabeled(without)})
    assert [reader.name for reader in fitting(open_source(content, "images.zip"))] == ["picture_folders"]
    data = prepare(DataChoice(dataset=add_file(content, "images.zip", home).name), home)
    assert data.raw.classes == NAMES
    assert len(data.raw) == len(LABELS)
    first = without.format(i=0)
    assert data.raw.warnings == [f"Left out 12 images without a label, such as {first!r}."]


def test_images_beside_folders_in_one_class_keep_their_class(home: Path) -> None:
    images = {
        **labeled("all/standing/{name}/{i}.png"),
        **unlabeled("all/standing/{i}.png"),
        "all/flat/1.png": png(PIXELS[0]),
    }
    data = prepare(DataChoice(dataset=add_file(make_zip(images), "images.zip", home).name), home)
    assert data.raw.classes == ("flat", *NAMES)
    assert len(data.raw) == len(LABELS) + 12 + 1


def test_unlabeled_folder_beside_parts_keeps_the_split(home: Path) -> None:
    parts = {**labeled("train/{name}/{i}.png"), **labeled("test/{name}/{i}.png"), **unlabeled("unlabeled/{i}.png")}
    data = prepare(DataChoice(dataset=add_file(make_zip(parts), "stl.zip", home).name), home)
    assert data.raw.classes == NAMES
    assert len(data.split["test"]) == len(LABELS)


def test_images_that_no_row_names_are_counted(home: Path) -> None:
    rows = [f"{i}.png,{NAMES[label]}" for i, label in enumerate(LABELS[:30])]
    content = make_zip({**unlabeled("{i}.png", 40), "labels.csv": make_csv("file,label", rows)})
    data = prepare(DataChoice(dataset=add_file(content, "images.zip", home).name), home)
    assert len(data.raw) == 30
    assert data.raw.warnings == ["Left out 10 images without a label, such as '30.png'."]


@pytest.mark.parametrize(
    "pattern", ["train/{name}.{i}.png", "{name}_{i}.png", "images/{name} ({i}).png", "images/very_{name}_{i}.png"]
)
def test_names_that_begin_with_the_class_give_it(pattern: str, home: Path) -> None:
    content = make_zip(labeled(pattern))
    assert fitting(open_source(content, "images.zip"))[0].name == "picture_folders"
    data = prepare(DataChoice(dataset=add_file(content, "images.zip", home).name), home)
    assert data.raw.classes == (NAMES if "very" not in pattern else tuple(f"very_{name}" for name in NAMES))
    assert np.bincount(data.raw.target).tolist() == [20, 20]
    assert any("is the beginning of its name, such as" in note for note in data.raw.warnings)


def test_images_of_a_competition_are_classes_by_name_beside_those_of_a_test(home: Path) -> None:
    """Dogs vs. Cats of Kaggle: the table to fill in has a single label."""
    images = {**labeled("train/{name}.{i}.png"), **unlabeled("test1/{i}.png")}
    images["sampleSubmission.csv"] = make_csv("id,label", [f"{i},0" for i in range(12)])
    data = prepare(DataChoice(dataset=add_file(make_zip(images), "dogs.zip", home).name), home)
    assert (data.raw.classes, len(data.raw)) == (NAMES, 40)


@pytest.mark.parametrize("pattern", ["{name}/img_{i}.png", "{name}/frame{i}.png", "train/IMG_{i}.png", "train/{i}.png"])
def test_names_that_only_count_are_not_classes(pattern: str, home: Path) -> None:
    source = open_source(make_zip(labeled(pattern)), "images.zip")
    reader = fitting(source)[0]
    assert not any("beginning of its name" in note for note in reader.noted(source, {}))
