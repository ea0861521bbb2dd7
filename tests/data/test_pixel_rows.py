"""Images as rows of a table, as MNIST, Fashion-MNIST and FER-2013 are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netloom.data import DataError, add_file
from netloom.data.tables.row_file import read_rows
from netloom.data.uploads import fitting, open_source, reader_for
from netloom.data.uploads.kinds.pixel_rows import PixelRows
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.rows import encode_rows
from tests.data.crafted import make_csv
from tests.data.samples import import_and_prepare, import_error

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 14, 14))
PARTS = ("Training", "Training", "PublicTest", "PrivateTest")


def _rows(separator: str = ",") -> list[str]:
    return [separator.join(map(str, image.ravel())) for image in IMAGES]


@pytest.mark.parametrize(
    "names",
    [
        [f"pixel{i}" for i in range(196)],
        [f"{row}x{column}" for row in range(1, 15) for column in range(1, 15)],
        [f"pixel_{row}_{column}" for row in range(14) for column in range(14)],
    ],
)
def test_columns_of_pixels_are_images(names: list[str], home: Path) -> None:
    content = make_csv(",".join(["label", *names]), [f"{i % 3},{row}" for i, row in enumerate(_rows())])
    assert fitting(open_source(content, "train.csv"))[0].name == "pixel_rows"
    assert reader_for(open_source(content, "train.csv"), target="label").name == "pixel_rows"
    data = import_and_prepare(content, home, "train.csv")
    assert (data.raw.classes, data.schema.inputs[0].shape) == (("0", "1", "2"), (1, 14, 14))
    assert [np.array_equal(data.raw.row(i)["image"][0], IMAGES[i]) for i in range(40)] == [True] * 40


@pytest.mark.parametrize("corner", ["varied", "constant", "dark"])
@pytest.mark.parametrize("place", ["front", "back"])
def test_columns_without_names_are_images_beside_their_class(place: str, corner: str, home: Path) -> None:
    images = IMAGES.reshape(40, 196).copy()
    if corner != "varied":
        images[:, [0, -1]] = 0 if corner == "constant" else (np.arange(40) % 5 == 0)[:, None]
    columns = [np.arange(40)[:, None] % 3, images]
    rows = np.concatenate(columns if place == "front" else columns[::-1], axis=1)
    content = "\n".join(",".join(map(str, row)) for row in rows).encode()
    data = import_and_prepare(content, home, "mnist_train.csv")
    assert data.schema.target.name == ("column 1" if place == "front" else "column 197")
    assert data.raw.target.tolist() == [i % 3 for i in range(40)]
    assert np.array_equal(data.raw.row(5)["image"][0].ravel(), images[5])


def test_a_pixel_is_refused_as_the_target(home: Path) -> None:
    names = ",".join(f"pixel{i}" for i in range(196))
    content = make_csv(f"label,{names}", [f"{i % 3},{row}" for i, row in enumerate(_rows())])
    with pytest.raises(DataError, match="'pixel7' holds pixels of the images; choose another column to predict"):
        add_file(content, "train.csv", home, kind="pixel_rows", target="pixel7")


def test_a_text_of_pixels_is_an_image_with_its_split(home: Path) -> None:
    content = make_csv("emotion,pixels,Usage", [f"{i % 3},{row},{PARTS[i % 4]}" for i, row in enumerate(_rows(" "))])
    data = import_and_prepare(content, home, "fer2013.csv")
    assert data.schema.target.name == "emotion"
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [20, 10, 10]
    assert np.array_equal(data.raw.row(7)["image"][0], IMAGES[7])


def test_color_images_have_the_colors_of_a_pixel_beside_each_other(home: Path) -> None:
    pixels = RANDOM.integers(0, 256, (30, 8, 8, 3))
    names = ",".join(f"pixel{i:04}" for i in range(192))
    content = make_csv(
        f"{names},label", [f"{','.join(map(str, image.ravel()))},{i % 2}" for i, image in enumerate(pixels)]
    )
    data = import_and_prepare(content, home, "hmnist.csv")
    assert data.schema.inputs[0].shape == (3, 8, 8)
    assert np.array_equal(data.raw.row(5)["image"], pixels[5].transpose(2, 0, 1))


def test_a_text_with_another_number_of_pixels_is_named(home: Path) -> None:
    rows = [f"{i % 3},{row}" for i, row in enumerate(_rows(" ") * 2)]
    rows[60] = "0,1 2 3"
    message = import_error(make_csv("emotion,pixels", rows), home, "fer2013.csv")
    assert "The image in row 61 of 'pixels' has 3 values; expected 196" in message


@pytest.mark.parametrize(
    ("names", "high"), [([f"f{i}" for i in range(196)], 256), ([f"pixel{i}" for i in range(196)], 999)]
)
def test_other_columns_of_numbers_stay_a_table(names: list[str], high: int) -> None:
    values = RANDOM.integers(0, high, (40, 196))
    content = make_csv(
        ",".join(["label", *names]), [f"{i % 3},{','.join(map(str, row))}" for i, row in enumerate(values)]
    )
    assert fitting(open_source(content, "train.csv"))[0].name == "table"


@pytest.mark.parametrize("form", ["columns", "text", "colors"])
def test_rows_of_pixels_are_predicted_as_in_training(form: str, home: Path) -> None:
    values = RANDOM.integers(0, 256, (40, 192 if form == "colors" else 196))
    rows = [(" " if form == "text" else ",").join(map(str, image)) for image in values]
    names = "pixels" if form == "text" else ",".join(f"pixel{i}" for i in range(values.shape[1]))
    data = import_and_prepare(make_csv(f"label,{names}", [f"{i % 3},{row}" for i, row in enumerate(rows)]), home)
    preprocess = data.preprocess.to_json()
    file = read_rows(make_csv(f"id,{names}", [f"{i},{row}" for i, row in enumerate(rows[:9])]), "test.csv", preprocess)
    assert list(file.rows[3]) == ["id", "image"]
    assert encode_rows(preprocess, file.rows)["image"].tobytes() == data.inputs["image"][:9].numpy().tobytes()
    cells = {"pixels": rows[:9]} if form == "text" else dict(zip(names.split(","), values[:9].T * 1.0, strict=True))
    records = pd.DataFrame(cells)
    read = read_rows(records.to_json(orient="records").encode(), "test.json", preprocess)
    assert encode_rows(preprocess, read.rows)["image"].tobytes() == data.inputs["image"][:9].numpy().tobytes()
    assert encode_rows(preprocess, read.rows[:1])["image"].tobytes() == data.inputs["image"][:1].numpy().tobytes()


def test_rows_without_pixels_are_refused_in_prediction(home: Path) -> None:
    names = ",".join(f"pixel{i}" for i in range(196))
    data = import_and_prepare(make_csv(f"label,{names}", [f"{i % 3},{row}" for i, row in enumerate(_rows())]), home)
    with pytest.raises(EncodeError, match="has no column 'image'; it has 'id', 'pixel0'"):
        read_rows(b"id,pixel0\n1,2\n", "test.csv", data.preprocess.to_json())


@pytest.mark.parametrize("cell", ["1" * 30, "1.5", "-3", "256", "", "a"])
def test_texts_of_other_values_are_not_images(cell: str) -> None:
    rows = [f"{i % 3},{row}" for i, row in enumerate(_rows(" "))]
    rows[3] = f"0,{cell} " + rows[3].partition(",")[2].partition(" ")[2] if cell else "0,' '"
    names = [kind.name for kind in fitting(open_source(make_csv("emotion,pixels", rows), "fer2013.csv"))]
    assert "pixel_rows" not in names


def test_a_table_with_a_single_unnamed_column_has_no_pixels() -> None:
    assert PixelRows().suits(pd.DataFrame({"column 1": [5, 6, 9] * 9})) == 0
