"""Names in zips from other systems, and files that nothing reads."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from netloom.data import DataError
from tests.data.crafted import make_csv, make_zip, noise_image
from tests.data.samples import import_and_prepare

NAME = "hörnchen"
HEIC = b"\0\0\0\x18ftypheic" + bytes(99)


def _unmarked(files: dict[str, bytes]) -> bytes:
    """A zip as macOS packs it: names are UTF-8 in the decomposed form of Unicode, but not marked as UTF-8."""
    ascii_names = {name: f"{number:02}".ljust(len(_decomposed(name)), "x") for number, name in enumerate(files)}
    packed = make_zip({ascii_names[name]: content for name, content in files.items()})
    for name, ascii_name in ascii_names.items():
        packed = packed.replace(ascii_name.encode(), _decomposed(name))
    return packed


def _decomposed(name: str) -> bytes:
    return unicodedata.normalize("NFD", name).encode()


def _labeled(count: int = 12) -> dict[str, bytes]:
    rows = (f"{NAME}{number}.png,{'ab'[number % 2]}" for number in range(count))
    return {f"photos/{NAME}{number}.png": noise_image(number) for number in range(count)} | {
        "labels.csv": make_csv("file,label", rows)
    }


def test_names_of_macos_match_those_of_a_table(home: Path) -> None:
    data = import_and_prepare(_unmarked(_labeled()), home, "photos.zip")
    assert data.schema.target.name == "label"
    assert data.schema.rows == 12
    assert not data.warnings


def test_classes_of_macos_have_their_names(home: Path) -> None:
    files = {f"{name}/{number}.png": noise_image(number) for name in ("füchse", "katzen") for number in range(6)}
    assert import_and_prepare(_unmarked(files), home, "x.zip").schema.target.classes == ("füchse", "katzen")


def test_photos_that_nothing_reads_are_noted(home: Path) -> None:
    photos = {f"{name}/{number}.png": noise_image(number) for name in ("cats", "dogs") for number in range(6)}
    data = import_and_prepare(make_zip(photos | {"cats/7.heic": HEIC, "dogs/Thumbs.db": b"\xd0\xcf\x11\xe0"}), home)
    assert data.warnings == ["A file was left out: 'cats/7.heic' is a HEIC or AVIF image; save it as JPEG or PNG."]
    with pytest.raises(DataError, match=r"12 files were left out: 'cats/0.heic' is a HEIC or AVIF image; save it as"):
        import_and_prepare(make_zip({name.replace("png", "heic"): HEIC for name in photos}), home, "x.zip")


def test_small_zips_of_blank_images_are_not_bombs(home: Path) -> None:
    files = {}
    for number in range(12):
        stream = io.BytesIO()
        Image.new("RGB", (200, 200), (20 * number,) * 3).save(stream, "BMP")
        files[f"{'ab'[number % 2]}/{number}.bmp"] = stream.getvalue()
    packed = make_zip(files, zipfile.ZIP_DEFLATED)
    assert sum(map(len, files.values())) > 100 * len(packed)
    assert import_and_prepare(packed, home, "x.zip").schema.rows == 12


def test_tables_may_name_files_in_other_case(home: Path) -> None:
    files = {f"photos/IMG_{number}.PNG": noise_image(number) for number in range(12)}
    rows = (f"img_{number}.png,{'ab'[number % 2]}" for number in range(12))
    data = import_and_prepare(make_zip(files | {"labels.csv": make_csv("file,label", rows)}), home, "x.zip")
    assert data.schema.rows == 12
    assert not data.warnings


def test_a_table_that_names_other_files_is_refused_with_both_names(home: Path) -> None:
    files = {f"photos/{number}.png": noise_image(number) for number in range(12)}
    rows = (f"mine/{number}.png,{'ab'[number % 2]}" for number in range(12))
    with pytest.raises(DataError, match=r"'labels.csv' names files such as 'mine/0.png', but .* 'photos/0.png'"):
        import_and_prepare(make_zip(files | {"labels.csv": make_csv("file,label", rows)}), home, "x.zip")


@pytest.mark.parametrize("folder", ["/home/me/photos/", "/home/me/others/", "C:\\data\\photos\\"])
def test_a_table_may_have_absolute_paths_of_another_computer(folder: str, home: Path) -> None:
    files = {f"photos/{side}/{number}.png": noise_image(number) for side in ("left", "right") for number in range(6)}
    rows = (f"{folder}{side}/{number}.png,{side}" for side in ("left", "right") for number in range(6))
    data = import_and_prepare(make_zip(files | {"labels.csv": make_csv("file,label", rows)}), home, "x.zip")
    assert (data.schema.target.name, data.schema.rows) == ("label", 12)
    assert not data.warnings


def test_absolute_paths_in_another_part_of_the_split_name_no_file(home: Path) -> None:
    files = {f"train/{number}.png": noise_image(number) for number in range(12)}
    rows = (f"/home/me/test/{number}.png,{'ab'[number % 2]}" for number in range(12))
    with pytest.raises(DataError, match=r"names files such as '/home/me/test/0\.png'"):
        import_and_prepare(make_zip(files | {"labels.csv": make_csv("file,label", rows)}), home, "x.zip")


def test_classes_of_several_folders_are_noted(home: Path) -> None:
    files = {
        f"{part}/{state}/{side}/{number}.png": noise_image(number)
        for part in ("train", "test")
        for state in ("healthy", "sick")
        for side in ("left", "right")
        for number in range(4)
    }
    data = import_and_prepare(make_zip(files), home, "x.zip")
    assert data.warnings == [
        "The class of an image is its innermost folder: 'left' has the images of 2 folders, such as 'healthy/left' and "
        "'sick/left'."
    ]
    plain = {name.replace("healthy/", "").replace("sick/", "b"): content for name, content in files.items()}
    assert not import_and_prepare(make_zip(plain), home, "x.zip").warnings
