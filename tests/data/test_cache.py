"""What is cached, what is loaded lazily, and how deleted or modified files are handled."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netloom.data import DataError, add_file, datasets, prepare, remove, schema
from netloom.data.preparation.prepare import clear_cache
from netloom.data.uploads import find_upload
from netloom.document import DataChoice
from tests.data.samples import class_images, csv_from_columns, example_columns, make_deflated_zip


def test_importing_the_registry_loads_no_heavy_modules() -> None:
    code = (
        "import sys\nfrom netloom.data.builtin_registry import builtin\nbuiltin()\n"
        "print([name for name in ('torch', 'sklearn', 'pandas', 'PIL', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_equal_choices_share_one_prepared_dataset(home: Path) -> None:
    choice = DataChoice(dataset="wine", seed=3)
    assert prepare(choice, home) is prepare(DataChoice(dataset="wine", seed=3), home)
    assert prepare(choice, home) is not prepare(DataChoice(dataset="wine", seed=4), home)
    assert schema(DataChoice(), home) is None


def test_schema_stays_cached_after_the_data_is_evicted(home: Path) -> None:
    choices = [DataChoice(dataset="shapes", options={"rows": 600 + n}) for n in range(6)]
    start = time.process_time()
    first = [schema(choice, home) for choice in choices]
    read_time = time.process_time() - start
    start = time.process_time()
    assert [schema(choice, home) for choice in choices] == first
    assert time.process_time() - start < read_time / 20


def test_removed_dataset_is_evicted_from_the_cache(home: Path) -> None:
    info = add_file(csv_from_columns(example_columns()), "data.csv", home)
    choice = DataChoice(dataset=info.name)
    prepare(choice, home)
    schema(choice, home)
    remove(info.name, home)
    for use in (prepare, schema):
        with pytest.raises(DataError, match="does not exist any more"):
            use(choice, home)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"created_at": 1}', b'{"id": null}'])
def test_folder_with_invalid_metadata_is_not_listed(home: Path, content: bytes) -> None:
    info = add_file(csv_from_columns(example_columns()), "data.csv", home)
    meta = find_upload(info.name, home) / "meta.json"
    meta.write_bytes(content)
    assert all(dataset.builtin for dataset in datasets(home))
    with pytest.raises(DataError, match="damaged or missing"):
        prepare(DataChoice(dataset=info.name), home)


@pytest.mark.parametrize("file_name", ["table.parquet", "images.npz"])
@pytest.mark.parametrize("content", [None, b"", b"PAR1PAR1", b"PK\x03\x04", bytes(5_000)])
def test_damaged_stored_file_is_reported(home: Path, file_name: str, content: bytes | None) -> None:
    if file_name == "images.npz":
        info = add_file(make_deflated_zip(class_images()), "x.zip", home)
    else:
        info = add_file(csv_from_columns(example_columns()), "data.csv", home)
    path = find_upload(info.name, home) / file_name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="damaged or missing"):
        prepare(DataChoice(dataset=info.name), home)
    remove(info.name, home)


def test_unicode_titles_survive_an_ascii_locale(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from netloom.data import add_file, datasets\n"
        f"title = {'Größe 漢字'!a}\n"
        "info = add_file(Path(sys.argv[1]), 'x.csv', Path(sys.argv[2]), name=title)\n"
        "print([i.title for i in datasets(Path(sys.argv[2])) if not i.builtin][0].encode())"
    )
    path = home / "x.csv"
    path.write_bytes(csv_from_columns(example_columns()))
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(home)], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == str("Größe 漢字".encode())
    assert json.loads((next((home / "data").iterdir()) / "meta.json").read_text("utf-8"))["title"] == "Größe 漢字"


def test_chunked_encoding_matches_encoding_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = prepare(DataChoice(dataset="digits", seed=11), home)
    monkeypatch.setattr("netloom.data.preparation.encoded_arrays.CHUNK", 100)
    clear_cache()
    parts = prepare(DataChoice(dataset="digits", seed=11), home)
    assert at_once is not parts
    assert (at_once.inputs["image"] == parts.inputs["image"]).all()
