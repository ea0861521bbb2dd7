"""A few damaged files among many are left out with a note; more are refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from netloom.data.raw_dataset import RawDataset
from netloom.data.uploads import fitting, open_source
from tests.data import brought
from tests.data.crafted import image_folders, make_zip
from tests.data.samples import import_and_prepare, import_error


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _damaged(content: bytes, names: list[str]) -> bytes:
    return make_zip({name: data[:20] if name in names else data for name, data in _members(content).items()})


UPLOADS: dict[str, tuple[Callable[[], bytes], str]] = {
    "picture_folders": (lambda: make_zip(image_folders(40)), "set/dogs/0.png"),
    "labeled_pictures": (brought.labeled_pictures, "photos/p7.png"),
    "picture_pairs": (brought.picture_pairs, "7.png"),
    "picture_triplets": (brought.picture_triplets, "7.png"),
    "masks": (brought.masks, "set/images/07.png"),
    "masks, one of them damaged": (brought.masks, "set/masks/07.png"),
    "objects": (brought.boxes, "photos/07.png"),
    "sounds": (brought.sounds, "tones/high/0.wav"),
}


@pytest.mark.parametrize("kind", UPLOADS)
def test_a_damaged_file_is_left_out(kind: str, home: Path) -> None:
    whole, name = UPLOADS[kind][0](), UPLOADS[kind][1]
    damaged = _damaged(whole, [name])
    assert fitting(open_source(damaged, "a.zip"))[0].name == kind.partition(",")[0]
    data, complete = import_and_prepare(damaged, home, "a.zip"), import_and_prepare(whole, home, "b.zip")
    (note,) = [note for note in data.raw.warnings if "damaged" in note]
    assert repr(name) in note
    assert 0.8 * len(complete.raw) < len(data.raw) < len(complete.raw)
    remaining = iter(_rows(complete.raw))
    assert all(row in remaining for row in _rows(data.raw))  # in their order, with their targets


def _rows(raw: RawDataset) -> list[str]:
    return [f"{raw.target[index]} {raw.row(index)}" for index in range(len(raw))]


@pytest.mark.parametrize("kind", ["picture_folders", "sounds"])
def test_many_damaged_files_are_refused(kind: str, home: Path) -> None:
    whole = UPLOADS[kind][0]()
    names = list(_members(whole))[::5]
    message = import_error(_damaged(whole, names), home, "a.zip")
    assert message.startswith(f"{len(names)} of {len(_members(whole))}")
    assert "cannot be read" in message


def test_a_preview_has_no_damaged_sound(home: Path) -> None:
    source = open_source(_damaged(brought.sounds(), ["tones/high/0.wav"]), "a.zip")
    reader = fitting(source)[0]
    assert len(reader.preview(source, reader.answered(source, {}))) > 3
