"""Predictions in jobs: for one row, and for the rows of a file beside the inputs."""

from __future__ import annotations

import csv
import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from netloom.data import DataError
from netloom.jobs import Context, Pool
from netloom.jobs.requests.predictions import BATCH, KEPT_S, BatchResult, Predict, PredictFile
from netloom.runs import TrainedRun, predict
from netloom.runs.prediction.batch_prediction import as_csv, table_row
from netloom.sandbox import read_batch
from tests.jobs.conftest import Runs

TABLE, IMAGE, TEXT = "breast_cancer", "digits_cnn", "intents_transformer"


def loaded(trained: Runs, name: str) -> TrainedRun:
    return Context(trained.home).run(trained.weights[name])


def predicted(trained: Runs, name: str, content: bytes, filename: str) -> tuple[BatchResult, Context]:
    context, weights = Context(trained.home), trained.weights[name]
    context.store.artifacts(weights.run_id).export_file("upload-test").write_bytes(content)
    return PredictFile(weights, "upload-test", filename).compute(context), context


def csv_lines(trained: Runs, name: str, result: BatchResult, context: Context) -> list[dict[str, str]]:
    path = context.store.artifacts(trained.weights[name].run_id).export_file(result.csv)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def table_of(run: TrainedRun, rows: range) -> pd.DataFrame:
    return pd.DataFrame([dict(run.data.row(row)) for row in rows])


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_worker_predicts_as_the_run_does(trained: Runs, pool: Pool) -> None:
    run = loaded(trained, TABLE)
    row = dict(run.data.row(4))
    job = pool.submit(Predict(trained.weights[TABLE], row), trained.home)
    with job.watched():
        assert job.wait(120)
    assert job.result().answer == predict(run, [row])[0]
    assert job.result().decoding["kind"] == "class"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
def test_table_files_get_the_predictions_of_their_rows(trained: Runs, suffix: str) -> None:
    run, stream = loaded(trained, TABLE), io.BytesIO()
    table = table_of(run, range(7))
    table.insert(0, "patient", [f"-{row}" for row in range(7)])  # the network does not read it
    {
        "csv": lambda: table.to_csv(stream, index=False),
        "jsonl": lambda: table.to_json(stream, orient="records", lines=True, double_precision=15),
        "parquet": lambda: table.to_parquet(stream),
        "xlsx": lambda: table.to_excel(stream, index=False),
    }[suffix]()
    result, context = predicted(trained, TABLE, stream.getvalue(), f"rows.{suffix}")
    expected = predict(run, [dict(run.data.row(row)) for row in range(7)])
    lines = csv_lines(trained, TABLE, result, context)
    assert result.rows == len(lines) == 7
    assert [line["prediction"] for line in lines] == [answer["prediction"] for answer in expected]
    for line, answer, row in zip(lines, expected, range(7), strict=True):
        assert float(line["confidence"]) == pytest.approx(max(answer["probabilities"].values()), abs=1e-6)
        first = table.columns[1]
        assert float(line[first]) == pytest.approx(float(run.data.row(row)[first]))
    path = context.store.artifacts(trained.weights[TABLE].run_id).export_file(result.json_lines)
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["prediction"] for line in written] == [answer["prediction"] for answer in expected]
    assert list(written[0]["input"]) == list(table.columns)
    assert [line["patient"] for line in lines] == [f"-{row}" for row in range(7)]


def test_zip_of_images_is_predicted_by_file(trained: Runs) -> None:
    run, files = loaded(trained, IMAGE), {}
    field = run.data.image_field(run.fields[0])
    for row in range(4):
        pixels = np.round(np.asarray(run.data.row(row)[field.name]) * field.scale * 255).astype(np.uint8).squeeze()
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        files[f"{row}.png"] = stream.getvalue()
    result, context = predicted(trained, IMAGE, zipped({**files, "notes.txt": b"left out"}), "digits.zip")
    lines = csv_lines(trained, IMAGE, result, context)
    assert [line["file"] for line in lines] == [f"{row}.png" for row in range(4)]
    expected = predict(run, [run.data.row(row) for row in range(4)])
    assert [line["prediction"] for line in lines] == [answer["prediction"] for answer in expected]
    assert result.notes == ("Left out 1 of 5 files in 'digits.zip', such as 'notes.txt'.",)


def test_zip_of_texts_is_predicted_by_file(trained: Runs) -> None:
    texts = {"a.txt": "set an alarm for seven", "b.txt": "play some music"}
    result, context = predicted(trained, TEXT, zipped({name: text.encode() for name, text in texts.items()}), "t.zip")
    run = loaded(trained, TEXT)
    expected = predict(run, [{run.fields[0]: text} for text in texts.values()])
    lines = csv_lines(trained, TEXT, result, context)
    assert [(line["file"], line["prediction"]) for line in lines] == [
        (name, answer["prediction"]) for name, answer in zip(texts, expected, strict=True)
    ]


def test_table_of_one_column_suffices_to_predict(trained: Runs) -> None:
    run, stream = loaded(trained, TEXT), io.BytesIO()
    texts = ["set an alarm for seven", "play some music"]
    pd.DataFrame({run.fields[0]: texts}).to_parquet(stream)
    rows = read_batch(stream.getvalue(), "texts.parquet", run.preprocess.to_json()).rows
    assert [row[run.fields[0]] for row in rows] == texts


def test_zip_of_sounds_is_read_at_the_rate_of_the_field() -> None:
    state = {"name": "sound", "encoding": "series", "shape": [400, 1], "mean": [0.0], "std": [1.0], "rate": 4_000}
    stream = io.BytesIO()
    soundfile.write(stream, np.linspace(-0.5, 0.5, 300), 4_000, format="WAV", subtype="FLOAT")
    rows = read_batch(zipped({"a.wav": stream.getvalue()}), "sounds.zip", {"fields": [state]}).rows
    np.testing.assert_allclose(rows[0]["sound"][:300, 0], np.linspace(-0.5, 0.5, 300), atol=2**-15)  # 16 bits
    assert not rows[0]["sound"][300:].any()


def test_wrong_cell_is_reported_by_column_and_wrong_row_by_number(trained: Runs) -> None:
    run = loaded(trained, TABLE)
    table = table_of(run, range(3)).astype(object)
    column = str(table.columns[2])
    with pytest.raises(DataError, match=f"no column '{column}'"):
        predicted(trained, TABLE, table.drop(columns=column).to_csv(index=False).encode(), "rows.csv")
    table.loc[1, column] = "tall"
    result, _ = predicted(trained, TABLE, table.to_csv(index=False).encode(), "rows.csv")
    assert any(column in note and "'tall'" in note for note in result.notes)
    lines = [json.dumps(dict(run.data.row(0)), default=float), json.dumps({"other": 1})]
    with pytest.raises(DataError, match=r"Row 2: .*mean radius"):
        predicted(trained, TABLE, "\n".join(lines).encode(), "rows.jsonl")


def test_unfit_and_damaged_files_are_refused(trained: Runs) -> None:
    fields = loaded(trained, TABLE).preprocess.to_json()
    with pytest.raises(DataError, match="network reads"):
        read_batch(zipped({"a.txt": b"text", "b.txt": b"text"}), "a.zip", fields)
    with pytest.raises(DataError, match="Parquet"):
        read_batch(b"PAR1 damaged", "a.parquet", fields)
    with pytest.raises(DataError, match="points outside"):
        read_batch(zipped({"../a.txt": b"text"}), "a.zip", fields)


def test_zip_that_does_not_fit_into_memory_is_refused(trained: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.sandbox.batch_files.MAX_STORED_BYTES", 8 * 8 * 4)
    images = dict.fromkeys(("a.png", "b.png"), b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="2 files, but at most 1 of this size"):
        read_batch(zipped(images), "a.zip", loaded(trained, IMAGE).preprocess.to_json())


def test_formulas_are_escaped_in_csv_only_where_they_are_texts() -> None:
    rows: list[dict[str, Any]] = [{"text": "=1+2", "@name": -3, "other": "+49 30", "number": "-1.5e3"}]
    answer = {"prediction": "-yes", "probabilities": {"-yes": 0.75, "no": 0.25}}
    [header, line] = csv.reader(io.StringIO(as_csv(rows, [answer])))
    assert header == ["text", "'@name", "other", "number", "prediction", "confidence"]
    assert line == ["'=1+2", "-3", "'+49 30", "-1.5e3", "'-yes", "0.75"]


def test_columns_of_predictions_do_not_hide_those_of_inputs() -> None:
    [header, line] = csv.reader(io.StringIO(as_csv([{"prediction": "before"}], [{"prediction": 2.5}])))
    assert header == ["prediction", "prediction of the network"]
    assert line == ["before", "2.5"]


def test_other_weights_have_predictions_of_their_own(trained: Runs) -> None:
    context, best = Context(trained.home), trained.weights[TABLE]
    content = table_of(loaded(trained, TABLE), range(40)).to_csv(index=False).encode()
    artifacts = context.store.artifacts(best.run_id)
    artifacts.export_file("upload").write_bytes(content)
    results = [
        PredictFile(replace(best, checkpoint=name), "upload", "rows.csv").compute(context) for name in ("best", "1")
    ]
    first, second = (artifacts.export_file(result.csv).read_text() for result in results)
    assert first != second


def test_files_with_predictions_are_removed_after_a_day(trained: Runs) -> None:
    content = table_of(loaded(trained, TABLE), range(2)).to_csv(index=False).encode()
    old = Context(trained.home).store.artifacts(trained.weights[TABLE].run_id).export_file(f"{BATCH}old.csv")
    old.write_text("prediction\n")
    os.utime(old, times=(time.time() - KEPT_S - 60,) * 2)
    result, context = predicted(trained, TABLE, content, "rows.csv")
    assert not old.exists()
    assert len(csv_lines(trained, TABLE, result, context)) == 2


def test_calibrated_predictions_have_columns_of_their_own() -> None:
    answer = {"prediction": 2.0, "interval": {"low": 1.0, "high": 3.5, "coverage": 0.9}, "abstained": False}
    assert table_row({"low": "x"}, answer) == {
        "low": "x",
        "prediction": 2.0,
        "low of the network": 1.0,
        "high": 3.5,
        "abstained": False,
    }


@pytest.mark.parametrize("prediction", [["a"], [[0, 1]], "a"])
def test_calibrated_confidence_is_in_the_table_whatever_is_predicted(prediction: Any) -> None:
    answer = {"prediction": prediction, "probabilities": {"a": 0.9}, "confidence": 0.7}
    assert table_row({"x": 1}, answer)["confidence"] == 0.7
