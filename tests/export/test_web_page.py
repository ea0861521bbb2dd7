"""What the web page export refuses; `tests/browser/test_web_page.py` runs its pages."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netloom import export
from netloom.export.browser_runtime import FILES, PACKAGE, VERSION, runtime_files, unavailable_reason
from netloom.modalities.encoding.table_fields import TableState
from netloom.templates import templates
from tests.explain.models import trained, untrained_run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dates_gru", "the field 'answer so far', whose encoding is begun, texts that are generated token by token"),
        ("spoken_gru", "the field 'sound', whose encoding is log_mel"),
        ("digits_autoencoder", "reconstructions of the input"),
    ],
)
def test_data_that_the_page_cannot_read_is_refused(name: str, words: str) -> None:
    with pytest.raises(export.ExportError, match=f"The web page does not support {words}; export the"):
        export.content(untrained_run(templates()[name].project), "web")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantiles": [0.0, 1.0], "normal": False}, "quantiles"),
        ({"part": "month"}, "parts of dates"),
        ({"type": "set"}, "the column 'mean radius'"),
    ],
)
def test_columns_that_the_page_cannot_encode_are_refused(change: dict[str, Any], words: str) -> None:
    run = trained("table")
    table = run.data.preprocess.fields[0]
    assert isinstance(table, TableState)
    changed = replace(table, columns=[replace(table.columns[0], **change), *table.columns[1:]])
    preprocess = replace(run.data.preprocess, fields=(changed,))
    with pytest.raises(export.ExportError, match=words):
        export.content(replace(run, data=replace(run.data, preprocess=preprocess)), "web")


def test_titles_are_never_markup() -> None:
    run = trained("table")
    name = "<script>alert(1)</script> {sentence} & more"
    run = replace(run, project=run.project.model_copy(update={"name": name}))
    with zipfile.ZipFile(io.BytesIO(export.content(run, "web"))) as archive:
        page, readme = (archive.read(file).decode() for file in ("index.html", "README.md"))
        assert json.loads(archive.read("example.json")).keys() == set(run.data.row(0))
    assert "<script>alert" not in page + readme
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_machine_without_npm_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Install Node.js" in unavailable_reason(tmp_path)
    target = tmp_path / "page.zip"
    with pytest.raises(export.ExportError, match="npm, which is not installed on this machine"):
        export.export(trained("table"), "web", target, runtime_home=tmp_path)
    assert not target.exists()
    with pytest.raises(export.ExportError, match="format bundle cannot include a runtime"):
        export.export(trained("table"), "bundle", target, runtime_home=tmp_path)


def test_files_of_another_version_are_discarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / PACKAGE / VERSION
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"other")
    if shutil.which("npm") is None:
        pytest.skip("npm is missing")
    # Nothing answers at port 9, the discard service, so that npm fails at once.
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(export.ExportError, match=rf"npm cannot download {PACKAGE} {VERSION} \(ECONNREFUSED\)"):
        runtime_files(tmp_path)
    assert [path.name for path in (tmp_path / PACKAGE).iterdir()] == [VERSION]  # without temporary files
