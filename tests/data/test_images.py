"""Zips of image folders: how images are read and what is rejected."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.data import DataError, add_file, prepare
from netloom.data.uploads.files.members import Members
from netloom.document import DataChoice
from tests.data.samples import (
    HOSTILE,
    class_images,
    image_bytes,
    import_and_prepare,
    import_error,
    make_deflated_zip,
    png_with_claimed_size,
)


def _image_bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _pixels(content: bytes, home: Path, side: int, suffix: str = "png") -> np.ndarray:
    """The pixels (side, side, 3) of an image after import."""
    members = {f"b/{n}.png": image_bytes(n, (side, side)) for n in range(10)}
    data = import_and_prepare(make_deflated_zip({f"a/0.{suffix}": content, **members}), home, "x.zip", size=side)
    pixels: np.ndarray = data.raw.row(0)["image"].transpose(1, 2, 0)
    return pixels


def _gradient(side: int = 16) -> np.ndarray:
    red, green = np.mgrid[:side, :side] * (255 // side)
    return np.stack([red, green, np.full_like(red, 99)], axis=2).astype(np.uint8)


def test_pixels_round_trip_unchanged(home: Path) -> None:
    array = _gradient()
    assert np.array_equal(_pixels(_image_bytes(Image.fromarray(array)), home, 16), array)
    assert np.array_equal(_pixels(_image_bytes(Image.fromarray(array), "BMP"), home, 16, "bmp"), array)


def test_only_large_images_are_resized(home: Path) -> None:
    small = add_file(make_deflated_zip(class_images()), "x.zip", home)
    assert prepare(DataChoice(dataset=small.name), home).schema.inputs[0].shape == (3, 12, 12)
    large = make_deflated_zip({f"{'ab'[n % 2]}/{n}.png": image_bytes(n, (300, 200)) for n in range(12)})
    assert import_and_prepare(large, home, "x.zip").schema.inputs[0].shape == (3, 32, 32)
    assert import_and_prepare(large, home, "x.zip", size=128).schema.inputs[0].shape == (3, 128, 128)


def test_grayscale_images_have_one_channel(home: Path) -> None:
    grey = make_deflated_zip({f"{'ab'[n % 2]}/{n}.png": image_bytes(n * 9, mode="L") for n in range(12)})
    assert import_and_prepare(grey, home, "x.zip").schema.inputs[0].shape == (1, 12, 12)
    assert import_and_prepare(grey, home, "x.zip", grayscale=False).schema.inputs[0].shape == (3, 12, 12)
    data = import_and_prepare(make_deflated_zip(class_images()), home, "x.zip", grayscale=True)
    assert data.schema.inputs[0].shape == (1, 12, 12)
    first = Image.open(io.BytesIO(class_images()["cats/0.png"])).convert("L")
    assert np.array_equal(data.row(0)["image"][0], np.asarray(first))


def test_transparent_pixels_become_white(home: Path) -> None:
    array = np.dstack([_gradient(), np.zeros((16, 16), dtype=np.uint8)])
    array[4:8, 4:8, 3] = 255
    pixels = _pixels(_image_bytes(Image.fromarray(array, "RGBA")), home, 16)
    assert np.array_equal(pixels[4:8, 4:8], _gradient()[4:8, 4:8])
    assert (pixels[9:] == 255).all()


def test_16_bit_images_become_8_bit(home: Path) -> None:
    deep_pixels = (np.arange(256).reshape(16, 16) * 257).astype(np.uint16)
    pixels = _pixels(_image_bytes(Image.fromarray(deep_pixels)), home, 16)
    assert np.array_equal(pixels[..., 0], np.arange(256).reshape(16, 16))


def test_exif_orientation_is_applied(home: Path) -> None:
    array = _gradient()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated camera: the stored top row is the right side of the image
    pixels = _pixels(_image_bytes(Image.fromarray(array), exif=exif), home, 16)
    assert np.array_equal(pixels, np.rot90(array, -1))


def test_innermost_folders_are_classes(home: Path) -> None:
    members = {f"set/{part}/{name}/{n}.png": image_bytes(n) for part in ("train", "test") for name in "ab"
               for n in range(6)}  # fmt: skip
    data = import_and_prepare(make_deflated_zip(members), home, "x.zip")
    assert data.schema.target.classes == ("a", "b")
    assert data.schema.rows == 24


@pytest.mark.parametrize("name", [*(name for name in HOSTILE if "/" not in name), "a:b"])
def test_hostile_folder_names_are_plain_class_names(home: Path, name: str) -> None:
    members = {f"{folder}/{n}.png": image_bytes(n) for folder in (f"x/{name}", "x/other") for n in range(8)}
    info = add_file(make_deflated_zip(members), f"{name}.zip", home, name=name)
    data = prepare(DataChoice(dataset=info.name), home)
    assert set(data.schema.target.classes) == {name, "other"}
    assert {path.name for path in (home / "data" / info.name).iterdir()} == {"images.npz", "meta.json"}


def test_overlapping_zip_members_do_not_hide_the_ratio(home: Path) -> None:
    """Many entries for one block of bytes, as in https://www.bamsoftware.com/hacks/zipbomb/."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/0.png", bytes(100_000))
        (first,) = archive.infolist()
        for number in range(1, 300):
            other = zipfile.ZipInfo(f"{'ab'[number % 2]}/{number}.png")
            other.CRC, other.compress_size, other.file_size = first.CRC, first.compress_size, first.file_size
            other.header_offset = first.header_offset
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
    with pytest.raises(DataError, match="times its size"):
        add_file(buffer.getvalue(), "x.zip", home)


def test_member_size_limit_applies_while_unpacking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = class_images()
    monkeypatch.setattr(Members.read, "__defaults__", (len(members["dogs/3.png"]) - 1,))
    with pytest.raises(DataError, match="is too large"):
        add_file(make_deflated_zip(members), "x.zip", home)


def test_damaged_zip_raises_only_data_errors(home: Path) -> None:
    random = np.random.default_rng(0)
    for valid in (make_deflated_zip(class_images()), make_deflated_zip(class_images(), zipfile.ZIP_STORED)):
        for _ in range(150):
            content = bytearray(valid)
            for index in random.integers(0, len(valid), random.choice([1, 3, 20])):
                content[index] = random.integers(256)
            assert "\n" not in import_error(bytes(content), home, "x.zip")


@pytest.mark.parametrize(("width", "height"), [(8_000, 6_251), (60_000, 60_000), (2**31 - 1, 1)])
def test_image_with_a_huge_header_is_rejected(home: Path, width: int, height: int) -> None:
    with pytest.raises(DataError, match="pixels; at most 50 megapixels"):
        add_file(
            make_deflated_zip({**class_images(), "cats/x.png": png_with_claimed_size(width, height)}), "x.zip", home
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 7}, "from 8 to 128"),
        ({"size": 10**12}, "from 8 to 128"),
        ({"size": True}, "from 8 to 128"),
        ({"size": "large"}, "from 8 to 128"),
        ({"size": [16]}, "from 8 to 128"),
        ({"grayscale": 1}, "true or false"),
        ({"speed": 1}, "no option 'speed'"),
    ],
)
def test_invalid_options_are_rejected_with_a_message(home: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        import_and_prepare(make_deflated_zip(class_images()), home, "x.zip", **options)
