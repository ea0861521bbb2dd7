"""What the web page export refuses; `tests/browser/test_web_page.py` runs its pages."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest

from netloom import export
from netloom.modalities.encoding.table_fields import TableState
from netloom.runs.prediction.applied_calibration import AppliedCalibration, PartCalibration, Scaling
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


def test_calibrated_predictions_are_refused() -> None:
    parts = {"": PartCalibration("softmax", "row", 1, Scaling("temperature", (0.5,)))}
    run = replace(trained("table"), applied=AppliedCalibration(1, "weights", parts))
    with pytest.raises(export.ExportError, match="calibrated predictions"):
        export.content(run, "web")


def test_titles_are_never_markup() -> None:
    run = trained("table")
    name = "<script>alert(1)</script> {sentence} & more"
    run = replace(run, project=run.project.model_copy(update={"name": name}))
    with zipfile.ZipFile(io.BytesIO(export.content(run, "web"))) as archive:
        page, readme = (archive.read(file).decode() for file in ("index.html", "README.md"))
        assert json.loads(archive.read("example.json")).keys() == set(run.data.row(0))
    assert "<script>alert" not in page + readme
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
