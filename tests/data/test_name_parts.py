"""Images whose classes and numbers are parts of their names, as in UTKFace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netloom.data import DataError
from netloom.data.uploads import add_file, fitting, open_source, read_upload
from netloom.data.uploads.file_labels.name_parts import possible_parts
from netloom.document import DataChoice
from tests.data.crafted import make_zip, solid_image

ROWS = 120


def _picture(row: int) -> bytes:
    return solid_image((2 * row, 0, 0), (4, 4))


def _age(row: int) -> int:
    return 1 + row * 7 % 55


def _face(row: int) -> str:
    """The name of a file of UTKFace: age, gender, race, and the date and time."""
    return f"{_age(row)}_{row % 2}_{row % 5}_201701161745{row:05}.jpg.chip.jpg"


def _zip(name: Callable[[int], str], rows: int = ROWS) -> bytes:
    return make_zip({name(row): _picture(row) for row in range(rows)})


def _shades(raw: object) -> list[int]:
    images = [raw.row(row)["image"] for row in range(len(raw))]  # type: ignore[attr-defined, arg-type]
    return [round(float(np.asarray(image)[0, 0, 0]) / 2) for image in images]


def test_parts_of_names_are_numbers_and_classes(home: Path) -> None:
    content = _zip(lambda row: f"UTKFace/{_face(row)}")
    source = open_source(content, "faces.zip")
    reader = fitting(source)[0]
    assert reader.name == "labeled_pictures"
    questions = {question.name: question for question in reader.questions(source, {})}
    assert questions["target"].choices == ("part 1", "part 2", "part 3")  # neither the date nor .jpg.chip
    assert questions["target"].default == "part 1"
    dataset = add_file(content, "faces.zip", home).name
    raw = read_upload(DataChoice(dataset=dataset), home)
    assert raw.target_kind == "number"
    shades = _shades(raw)
    assert sorted(shades) == [*range(ROWS)]
    assert raw.target[:, 0].tolist() == [_age(row) for row in shades]
    first = sorted(_face(row) for row in range(ROWS))[0]
    cells = first.split("_")
    assert (
        raw.warnings
        == reader.noted(source, {})
        == [
            f"The parts of the names are read as columns, such as {cells[0]!r} as part 1, {cells[1]!r} as part 2, "
            f"{cells[2]!r} as part 3 of {first!r}."
        ]
    )
    race = read_upload(DataChoice(dataset=dataset, options={"target": "part 3"}), home)
    assert (race.target_kind, race.classes) == ("class", ("0", "1", "2", "3", "4"))
    assert race.target.tolist() == [row % 5 for row in shades]


def test_few_different_numbers_and_words_are_classes(home: Path) -> None:
    content = _zip(lambda row: f"{row:03}-{('left', 'right')[row % 2]}-{row % 4}.png")
    raw = read_upload(DataChoice(dataset=add_file(content, "views.zip", home).name), home)
    assert (raw.target_kind, raw.classes) == ("class", ("left", "right"))
    dataset = add_file(content, "views.zip", home, target="part 3").name
    assert read_upload(DataChoice(dataset=dataset), home).classes == ("0", "1", "2", "3")


def test_folders_of_the_parts_of_a_download_are_no_classes(home: Path) -> None:
    content = _zip(lambda row: f"part{1 + row % 3}/{_face(row)}")
    raw = read_upload(DataChoice(dataset=add_file(content, "faces.zip", home).name), home)
    assert raw.target[:, 0].tolist() == [_age(row) for row in _shades(raw)]
    other = _zip(lambda row: f"part{1 + row % 3}/{row}.png")  # whose names say nothing
    assert fitting(open_source(other, "parts.zip"))[0].name == "picture_folders"


def test_parts_of_names_give_the_split_with_folders(home: Path) -> None:
    content = _zip(lambda row: f"{'train' if row < 90 else 'test'}/{_face(row)}")
    raw = read_upload(DataChoice(dataset=add_file(content, "faces.zip", home).name), home)
    assert raw.given is not None
    assert [part == 0 for part in raw.given] == [shade < 90 for shade in _shades(raw)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (lambda row: f"{'cat' if row % 2 else 'dog'}/{_face(row)}", "picture_folders"),
        (lambda row: f"{'cat' if row % 2 else 'dog'}.{row}.jpg", "picture_folders"),
        (lambda row: f"{'images' if row % 2 else 'masks'}/{row // 2}_{row // 8}_a.png", "masks"),
        (lambda row: f"{'anchor' if row % 3 == 0 else 'positive' if row % 3 == 1 else 'negative'}/a_{row // 3}_b.png",
         "picture_triplets"),
    ],
)  # fmt: skip
def test_images_that_are_read_otherwise_stay_so(name: Callable[[int], str], kind: str) -> None:
    assert fitting(open_source(_zip(name), "a.zip"))[0].name == kind


@pytest.mark.parametrize(
    "name",
    [
        lambda row: f"IMG_2024010{1 + row % 3}_{100000 + row}.jpg",  # a date and a time
        lambda row: f"Screenshot 2024-0{1 + row % 3}-05 at 12.{10 + row % 40}.{10 + row % 50}.png",
        lambda row: f"holiday_photo_{row}.jpg",
        lambda row: f"{row}.png",
    ],
)
def test_dates_and_numbers_are_no_classes(name: Callable[[int], str], home: Path) -> None:
    with pytest.raises(DataError, match=r"in folders, one folder per class|in at least two folders, one per class"):
        add_file(_zip(name), "photos.zip", home)


def test_boxes_beside_images_are_still_reported(home: Path) -> None:
    boxes = {f"{_face(row)[:-4]}.xml": b"<annotation><bndbox></bndbox></annotation>" for row in range(30)}
    pictures = {_face(row): _picture(row) for row in range(30)}
    kinds = [reader.name for reader in fitting(open_source(make_zip({**pictures, **boxes}), "a.zip"))]
    assert kinds[0] != "labeled_pictures"


def test_parts_of_names_of_sounds_are_those_of_images() -> None:
    assert possible_parts([f"03-01-0{1 + row % 6}-{row % 2}-{row:02}.wav" for row in range(48)]) == [3, 4]
    dated = [f"a_{row % 3}_2020{1 + row % 9:02}{1 + row % 20:02}_{row % 4}.wav" for row in range(48)]
    assert possible_parts(dated) == [2]
