"""Pairs and triplets of images by folders, names and lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.data import Prepared
from netloom.data.uploads import fitting, open_source
from tests.data.crafted import make_zip, solid_image
from tests.data.samples import import_and_prepare

ROLES = ("anchor", "positive", "negative")
PARTS = {"train": range(16), "val": range(16, 20), "test": range(20, 26)}


def _image(row: int, place: int) -> bytes:
    """An image whose shade says its row and its place in the row."""
    return solid_image((8 * row + place, 0, 0), (4, 4))


def _shades(data: Prepared) -> list[list[int]]:
    rows = map(data.raw.row, range(len(data.raw)))
    return [[round(float(np.asarray(row[name])[0, 0, 0])) for name in ("first", "second")] for row in rows]


@pytest.mark.parametrize(
    "pattern",
    [
        "set/{part}/{role}/{row}.png",
        "set/{part}/{row:03}/{role}.png",
        "{part}/{role}s/{row}.png",
        "{part}/{row}_{role}.png",
    ],
)
def test_folders_and_names_make_triplets(pattern: str, home: Path) -> None:
    files = {
        pattern.format(part=part, role=role, row=row): _image(row, place)
        for part, rows in PARTS.items()
        for row in rows
        for place, role in enumerate(ROLES)
    }
    content = make_zip(files)
    assert fitting(open_source(content, "triplets.zip"))[0].name == "picture_triplets"
    data = import_and_prepare(content, home, "triplets.zip")
    assert sorted(_shades(data)) == sorted([8 * row, 8 * row + place] for row in range(26) for place in (1, 2))
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [32, 8, 12]
    assert [2 - int(target) for target in data.raw.target] == [second % 8 for _, second in _shades(data)]


def test_images_without_the_others_of_a_triplet_are_named(home: Path) -> None:
    files = {f"{role}/{row}.png": _image(row, place) for row in range(26) for place, role in enumerate(ROLES)}
    del files["positive/7.png"]
    data = import_and_prepare(make_zip(files), home, "triplets.zip")
    assert len(data.raw) == 50
    assert "Left out 2 images of incomplete triplets, such as 'anchor/7.png'." in data.raw.warnings


def test_images_and_labels_without_each_other_are_named(home: Path) -> None:
    files = {f"{('left', 'right')[place]}/{row}.png": _image(row, place) for row in range(26) for place in (0, 1)}
    del files["right/7.png"]
    lines = [f"{row},{row}.png,{row % 3 % 2}" for row in range(28) if row != 9]
    files["labels.csv"] = "\n".join(["pair,left,same", *lines]).encode()
    data = import_and_prepare(make_zip(files), home, "pairs.zip")
    assert (data.schema.target.name, len(data.raw)) == ("same", 24)
    assert {
        "Left out 1 image of incomplete pairs, such as 'left/7.png'.",
        "Left out 2 images without a label, such as 'left/9.png'.",
        "Left out 3 rows of the table that name no pair of images.",
    } <= {*data.raw.warnings}


def test_folders_of_two_images_are_pairs(home: Path) -> None:
    names = ("different", "same")
    files = {f"{names[row % 2]}/{row}/{'ab'[place]}.png": _image(row, place) for row in range(26) for place in (0, 1)}
    data = import_and_prepare(make_zip(files), home, "pairs.zip")
    assert data.raw.classes == names
    assert [
        [int(target), first % 8, second % 8]
        for target, (first, second) in zip(data.raw.target, _shades(data), strict=True)
    ] == [[first // 8 % 2, 0, 1] for first, _ in _shades(data)]


def test_folders_left_and_right_beside_labels_are_pairs(home: Path) -> None:
    files = {f"{('left', 'right')[place]}/{row}.png": _image(row, place) for row in range(26) for place in (0, 1)}
    assert fitting(open_source(make_zip(files), "hands.zip"))[0].name == "picture_folders"
    files["labels.csv"] = "\n".join(["pair,same", *(f"{row},{row % 3 % 2}" for row in reversed(range(26)))]).encode()
    data = import_and_prepare(make_zip(files), home, "pairs.zip")
    assert data.schema.target.name == "same"
    assert all(second == first + 1 for first, second in _shades(data))
    assert [int(target) for target in data.raw.target] == [first // 8 % 3 % 2 for first, _ in _shades(data)]


def test_pairs_of_faces_are_read_with_their_split(home: Path) -> None:
    files = {f"lfw/P{row}/P{row}_{place + 1:04}.png": _image(row, place) for row in range(26) for place in range(3)}
    for part, rows in (("Train", range(16)), ("Test", range(16, 25))):
        same, different = (f"P{row}\t1\t3" for row in rows), (f"P{row}\t2\tP{row + 1}\t1" for row in rows)
        files[f"pairsDev{part}.txt"] = "\n".join([str(len(rows)), *same, *different]).encode()
    data = import_and_prepare(make_zip(files), home, "lfw.zip")
    assert (len(data.raw), data.raw.classes) == (50, ("different", "same"))
    assert [int(target) for target in data.raw.target] == [first // 8 == second // 8 for first, second in _shades(data)]
    assert len(data.split["test"]) == 18


def test_folders_of_persons_stay_classes() -> None:
    files = {f"lfw/P{row}/P{row}_{place}.png": _image(row, place) for row in range(9) for place in range(2)}
    assert fitting(open_source(make_zip(files), "lfw.zip"))[0].name == "picture_folders"
