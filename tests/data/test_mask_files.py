"""Masks as other programs write them: palettes, orientations, sizes and folders."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from netloom.data import DataError, Prepared
from netloom.data.images import mask, picture
from tests.data.samples import import_and_prepare, make_deflated_zip

RED = ((0, 0, 0), (255, 0, 0))
Encode = Callable[[np.ndarray], bytes]


def _file(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _object(number: int) -> np.ndarray:
    """A mask (12, 20) with a square in it."""
    values = np.zeros((12, 20), dtype=np.uint8)
    y, x = np.random.default_rng(number).integers(0, (8, 16))
    values[y : y + 4, x : x + 4] = 1
    return values


def _plain(values: np.ndarray) -> bytes:
    return _file(Image.fromarray(values))


def _palette(values: np.ndarray, colors: tuple[tuple[int, int, int], ...] = RED) -> bytes:
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette([part for color in colors for part in color])
    return _file(image)


def _files(encode: Encode = _plain, photo: Encode | None = None, count: int = 14) -> dict[str, bytes]:
    """Photos that are bright where their mask has the object."""
    photo = photo or (lambda values: _plain(values * 200))
    return {f"images/{number}.png": photo(_object(number)) for number in range(count)} | {
        f"masks/{number}.png": encode(_object(number)) for number in range(count)
    }


def _prepare(files: dict[str, bytes], home: Path) -> Prepared:
    return import_and_prepare(make_deflated_zip(files), home, "masks.zip", size=20)


def _agreement(data: Prepared) -> float:
    """The share of pixels whose class is that of their brightness."""
    bright = data.inputs["image"].mean(1) > data.inputs["image"].mean()
    return float((bright == (data.target > 0)).float().mean())


def test_palettes_that_number_colors_differently_are_read_by_color(home: Path) -> None:
    files = _files(_palette) | {f"masks/{n}.png": _palette(1 - _object(n), RED[::-1]) for n in range(5)}
    data = _prepare(files, home)
    assert data.schema.target.classes == ("#000000", "#ff0000")
    assert "read by color" in data.warnings[0]
    assert _agreement(data) > 0.97


def test_palettes_and_colors_are_one_set_of_classes(home: Path) -> None:
    in_colors = {f"masks/{n}.png": _plain(np.array(RED, np.uint8)[_object(n)]) for n in range(5)}
    data = _prepare(_files(_palette) | in_colors, home)
    assert data.schema.target.classes == ("#000000", "#ff0000")
    assert _agreement(data) > 0.97


def test_one_palette_keeps_its_numbers_as_classes(home: Path) -> None:
    data = _prepare(_files(_palette) | {"masks/3.png": _palette(np.zeros((12, 20), np.uint8))}, home)
    assert data.schema.target.classes == ("ground", "object")
    assert not data.warnings


def test_masks_of_one_bit_and_of_eight_bits_are_one_set_of_classes(home: Path) -> None:
    files = _files(lambda values: _plain(values * 255)) | {"masks/2.png": _plain(_object(2).astype(bool))}
    data = _prepare(files, home)
    assert data.schema.target.classes == ("ground", "object")
    assert _agreement(data) > 0.97


def test_different_white_values_are_noted(home: Path) -> None:
    data = _prepare(_files() | {"masks/2.png": _plain(_object(2) * 255)}, home)
    assert "In 13 masks the largest value is 1, in 1 others it is 255" in data.warnings[0]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("is_stored", [False, True])
def test_masks_follow_the_orientation_of_their_photo(orientation: int, is_stored: bool, home: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored_photos = [_file(Image.fromarray(_object(number) * 200), exif=exif) for number in range(14)]
    files = {f"images/{number}.png": photo for number, photo in enumerate(stored_photos)}
    for number, photo in enumerate(stored_photos):
        values = _object(number) if is_stored else _displayed(photo)
        files[f"masks/{number}.png"] = _plain(values)
    assert _agreement(_prepare(files, home)) > 0.97


def _displayed(photo: bytes) -> np.ndarray:
    """The mask in the orientation in which other programs display the photo."""
    return (np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(photo)))) > 0).astype(np.uint8)


def test_a_turned_mask_is_refused(home: Path) -> None:
    with pytest.raises(DataError, match=r"has 20 × 12 pixels, but its mask 'masks/0.png' has 12 × 20"):
        _prepare(_files(lambda values: _plain(np.ascontiguousarray(values.T))), home)


def test_masks_of_one_name_are_those_of_the_folder_with_the_name_of_the_photos(home: Path) -> None:
    """As in CamVid: train/1.png and trainannot/1.png, test/1.png and testannot/1.png."""
    files = {
        f"{part}{ending}/{number}.png": _plain(_object(number + 100 * (part == "test")) * factor)
        for part in ("train", "test")
        for ending, factor in (("", 200), ("annot", 1))
        for number in range(10)
    }
    data = _prepare(files, home)
    assert data.schema.rows == 20
    assert not data.warnings
    assert _agreement(data) > 0.97


def test_folders_of_pascal_voc_are_masks_and_not_classes(home: Path) -> None:
    files = {f"VOC/JPEGImages/{n}.jpg": _file(Image.fromarray(_object(n) * 200), "JPEG") for n in range(30)}
    files |= {
        f"VOC/Segmentation{kind}/{n}.png": _palette(_object(n)) for kind in ("Class", "Object") for n in range(12)
    }
    data = _prepare(files, home)
    assert data.schema.target.classes == ("ground", "object")
    assert data.schema.rows == 12


def test_fractions_are_not_classes() -> None:
    values = np.linspace(0, 1, 240, dtype=np.float32).reshape(12, 20)
    assert (mask(_file(Image.fromarray(_object(1).astype(np.float32)), "TIFF"), "a.tif") == _object(1)).all()
    with pytest.raises(DataError, match=r"'a.tif' has fractions such as 0\.004184, which are not classes"):
        mask(_file(Image.fromarray(values), "TIFF"), "a.tif")


@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_images_of_32_bits_are_refused_instead_of_read_as_black(kind: str) -> None:
    values = np.linspace(0, 100, 240).astype(kind).reshape(12, 20)
    with pytest.raises(DataError, match=r"'a.tif' has 32-bit pixels.* save it with 8 or 16 bits"):
        picture(_file(Image.fromarray(values), "TIFF"), "a.tif", 32)
