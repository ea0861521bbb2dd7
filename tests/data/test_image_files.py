"""Images from files: those to predict are read as those of training were."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.data.uploads.images.image_questions import read_as_stored
from netloom.modalities.encoding.file_pixels import stored_pixels
from netloom.modalities.encoding.image_field import image_encoder, sized
from netloom.modalities.fields.image import ImageModality
from netloom.sandbox import read_batch, read_picture
from tests.data.crafted import make_zip
from tests.data.samples import import_and_prepare


def _photo(number: int, size: tuple[int, int], form: str, mode: str = "RGB") -> bytes:
    """A photo with large and small structures."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size)
    noise = random.integers(-30, 30, (size[1], size[0], 3))
    stream = io.BytesIO()
    Image.fromarray((np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)).convert(mode).save(stream, form)
    return stream.getvalue()


@cache
def _photos(form: str, largest: int) -> dict[str, bytes]:
    random = np.random.default_rng(largest)
    sizes = [tuple(map(int, random.integers(largest // 2, largest, 2))) for _ in range(12)]
    return {
        f"{'ab'[number % 2]}/{number}.{form.lower()}": _photo(number, (width, height), form)
        for number, (width, height) in enumerate(sizes)
    }


@pytest.mark.parametrize(
    ("form", "largest", "options"),
    [
        ("PNG", 30, {}),
        ("PNG", 30, {"fields": {"image": {"normalize": "none"}}}),
        ("JPEG", 400, {}),
        ("JPEG", 400, {"size": 48, "grayscale": True}),
        ("PNG", 200, {"fields": {"image": {"size": 20, "grayscale": True, "normalize": "channel"}}}),
    ],
)
def test_predicted_images_equal_those_of_training(form: str, largest: int, options: dict[str, Any], home: Path) -> None:
    photos = _photos(form, largest) | {"a/gray.png": _photo(99, (25, 20), "PNG", "L")}
    data = import_and_prepare(make_zip(photos), home, "photos.zip", **options)
    rows = read_batch(make_zip(photos), "photos.zip", data.preprocess.to_json()).rows
    assert [row.pop("file") for row in rows] == sorted(photos)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(data.encode(row)["image"][0], data.inputs["image"][number])
    # As the model server and the page Try it read a single file
    field = image_encoder(data.field("image"))
    pixels = read_picture(photos["b/1." + form.lower()], "b", field.file_side, field.file_shape)
    raw = ImageModality().raw_value(field, pixels)
    place = sorted(photos).index("b/1." + form.lower())
    np.testing.assert_array_equal(data.encode({"image": raw})["image"][0], data.inputs["image"][place])
    # A file that is not in a zip is a single row
    (single,) = read_batch(photos["b/1." + form.lower()], "folder/1.png", data.preprocess.to_json()).rows
    assert single.pop("file") == "1.png"
    np.testing.assert_array_equal(data.encode(single)["image"][0], data.inputs["image"][place])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 48, "grayscale": True},
        {"fields": {"image": {"size": 20, "grayscale": True, "normalize": "channel"}}},
    ],
)
def test_full_size_pixels_equal_the_file_that_holds_them(options: dict[str, Any], home: Path) -> None:
    """As the Python API, bundles and the model server receive images in JSON."""
    photos = _photos("PNG", 150) | {"a/gray.png": _photo(99, (125, 101), "PNG", "L")}
    data = import_and_prepare(make_zip(photos), home, "photos.zip", **options)
    for number, name in enumerate(sorted(photos)):
        pixels = np.asarray(Image.open(io.BytesIO(photos[name])))
        layouts = [pixels, pixels.transpose(2, 0, 1)] if pixels.ndim == 3 else [pixels, pixels[None]]
        for layout in layouts:
            np.testing.assert_array_equal(
                data.encode({"image": layout.tolist()})["image"][0], data.inputs["image"][number]
            )


def test_stored_images_are_encoded_like_lists(home: Path) -> None:
    """Their strides differ, with which convolutions would round differently."""
    data = import_and_prepare(make_zip(_photos("PNG", 30)), home, "photos.zip")
    image = data.raw.row(0)["image"]
    (stored,), (listed,) = (data.encode({"image": value})["image"] for value in (image, image.tolist()))
    np.testing.assert_array_equal(stored, listed)
    assert stored.stride() == listed.stride()


def test_pixels_are_resized_as_by_pillow_bit_for_bit() -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        height, width, side, size = map(int, random.integers(8, 100, 4))
        channels, colors = random.choice([1, 3], 2)
        image = random.integers(0, 256, (height, width, colors), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(image if colors == 3 else image[..., 0]).save(content, "PNG")
        shape = (int(channels), size, size)
        expected = read_as_stored(content.getvalue(), "a.png", side, shape)
        np.testing.assert_array_equal(stored_pixels(image.transpose(2, 0, 1), side, shape), expected)


def test_fractions_and_pixels_of_the_size_of_training_are_not_read_as_a_file(home: Path) -> None:
    data = import_and_prepare(make_zip(_photos("PNG", 300)), home, "photos.zip")
    row = data.row(3)["image"]
    np.testing.assert_array_equal(data.encode({"image": row.tolist()})["image"][0], data.inputs["image"][3])
    fractions = np.random.default_rng(0).uniform(0, 255, (3, 70, 90))
    field = image_encoder(data.field("image"))
    small = sized(fractions.astype(np.float32), *field.shape)
    np.testing.assert_allclose(data.encode({"image": fractions})["image"], field.encode([{"image": small}]))


def test_a_white_file_is_white_in_the_units_of_unscaled_data(home: Path) -> None:
    data = import_and_prepare(make_zip(_photos("PNG", 30)), home, "x.zip", fields={"image": {"normalize": "none"}})
    field = image_encoder(data.field("image"))
    white = np.full((*field.file_shape,), 255, dtype=np.uint8)
    assert ImageModality().raw_value(field, white).max() == 255
    assert np.asarray(field.shown({"image": white})["image"]).max() == 1


@pytest.mark.parametrize(("peak", "is_noted"), [(4_095, True), (65_535, False)])
def test_images_of_12_bits_in_16_are_noted(peak: int, is_noted: bool, home: Path) -> None:
    files = {}
    for number in range(12):
        stream = io.BytesIO()
        values = np.random.default_rng(number).integers(0, peak + 1, (12, 12))
        values[0, 0] = peak
        Image.fromarray(values.astype(np.uint16)).save(stream, "PNG")
        files[f"{'ab'[number % 2]}/{number}.png"] = stream.getvalue()
    note = "values up to 4,095 of 65,535, so that 16 of 256 shades remain"
    assert [note in text for text in import_and_prepare(make_zip(files), home, "x.zip").warnings] == [True] * is_noted
