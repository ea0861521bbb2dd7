"""Classes of folders whose names are spellings of one another stay apart, and are noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data import brought
from tests.data.samples import image_bytes, import_and_prepare, make_deflated_zip

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def images(folders: list[str]) -> bytes:
    files = [(place, folder, number) for place, folder in enumerate(folders) for number in range(12)]
    return make_deflated_zip(
        {f"{folder}/{number}.png": image_bytes(20 * place + number) for place, folder, number in files}
    )


@pytest.mark.parametrize(
    ("folders", "listed"),
    [(["Cat", "cat", "dog"], "'Cat', 'cat'"), (["cat", "cat ", "dog"], "'cat', 'cat '")],
)
def test_image_folders_that_differ_in_spelling_are_noted(folders: list[str], listed: str, home: Path) -> None:
    data = import_and_prepare(images(folders), home, "images.zip")
    assert len(data.schema.target.classes) == 3
    (note,) = data.warnings
    assert f"Unicode form of a letter: {listed}. If they mean the same, give them one name, and add the files" in note


def test_forms_of_a_letter_are_one_class(home: Path) -> None:
    """Names in a zip are composed, unless both forms of one file are in it, which would lose one of them."""
    members = {f"{(COMPOSED, DECOMPOSED, 'dog')[n % 3]}/{n}.png": image_bytes(n) for n in range(36)}
    data = import_and_prepare(make_deflated_zip(members), home, "images.zip")
    assert data.schema.target.classes == (COMPOSED, "dog")
    assert not data.warnings
    both = import_and_prepare(images([COMPOSED, DECOMPOSED, "dog"]), home, "both.zip")
    assert len(both.schema.target.classes) == 3
    assert "'cafe\\u0301', 'caf\\xe9'" in both.warnings[0]


def test_text_and_sound_folders_are_noted_too(home: Path) -> None:
    files = [(folder, number) for folder in ("Good", "good", "bad") for number in range(8)]
    texts = {f"{folder}/{number}.txt": f"a {folder} text {number}".encode() for folder, number in files}
    sounds = {f"{folder}/{number}.wav": brought.tone(200 + 50 * number, 0.1, 8_000) for folder, number in files}
    for members in (texts, sounds):
        data = import_and_prepare(make_deflated_zip(members), home, "files.zip")
        assert "'Good', 'good'" in data.warnings[0]


def test_different_names_are_not_noted(home: Path) -> None:
    assert not import_and_prepare(images(["1", "-1", "dog"]), home, "images.zip").warnings
