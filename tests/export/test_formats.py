"""The registry of formats, file names, and invalid requests."""

from __future__ import annotations

import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from netloom import export
from netloom.explain.core.library_warnings import mute_captum
from netloom.export.tracing import quiet
from tests.explain.models import trained


def test_every_format_has_title_summary_and_suffix() -> None:
    listed = export.export_formats()
    assert [export_format.name for export_format in listed] == list(export.registry())
    assert "bundle" in export.registry()
    for export_format in listed:
        assert export_format.title
        assert export_format.summary
        assert export_format.suffix.startswith(".")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Digits, small", "digits-small.zip"),
        ("../../etc/passwd", "etc-passwd.zip"),
        ("Züge & Bäume", "zuge-baume.zip"),
        ("漢字", "network.zip"),
        ('"</script>\n', "script.zip"),
        ("x" * 150, "x" * 60 + ".zip"),
    ],
)
def test_export_file_name_is_sanitized(name: str, expected: str, tmp_path: Path) -> None:
    run = trained("table")
    run = replace(run, project=run.project.model_copy(update={"name": name}))
    assert export.filename(run, "bundle") == expected
    written = export.export(run, "bundle", tmp_path).path
    assert written == tmp_path / expected
    assert written.read_bytes() == export.content(run, "bundle")
    assert list(tmp_path.iterdir()) == [written]


def test_unknown_format_and_missing_folder_raise_export_error(tmp_path: Path) -> None:
    run = trained("table")
    with pytest.raises(export.ExportError, match="There is no export format 'onyx'; choose one of bundle"):
        export.export(run, "onyx", tmp_path / "x")
    with pytest.raises(export.ExportError, match="There is no folder"):
        export.export(run, "bundle", tmp_path / "not there" / "x.zip")


def test_export_preserves_warning_filters_of_other_threads() -> None:
    with quiet():
        explaining = threading.Thread(target=mute_captum)
        explaining.start()
        explaining.join()
    warnings.warn("Setting backward hooks on ReLU activations", UserWarning, stacklevel=1)  # an error if not muted
