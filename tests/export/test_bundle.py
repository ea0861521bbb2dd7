"""The bundle matches the app's predictions where only torch, safetensors and numpy are installed."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from netloom import export
from netloom.data import add_file
from netloom.document import DataChoice, Project, Training, loads
from netloom.runs import TrainedRun, fit_here, predict
from tests.explain.models import trained
from tests.export import bare
from tests.networks import chain

NAMES = ("table", "regression", "image", "series", "transformer", "recurrent", "characters")
TOLERANCE = 1e-6
ROWS = 5


def unpack_bundle(run: TrainedRun, folder: Path) -> Path:
    archive = export.export(run, "bundle", folder / "taken.zip").path
    target = folder / "taken"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(target)
    return target


def run_predict(python: bare.Interpreter, folder: Path, *arguments: str) -> Any:
    process = python.run(folder, "predict.py", *arguments)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def json_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def assert_predictions_close(answers: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(answers) == len(expected)
    for answer, expected_answer in zip(answers, expected, strict=True):
        assert answer.keys() == expected_answer.keys()
        if isinstance(expected_answer["prediction"], str):
            assert answer["prediction"] == expected_answer["prediction"]
            assert answer["probabilities"].keys() == expected_answer["probabilities"].keys()
            for name, probability in expected_answer["probabilities"].items():
                assert abs(answer["probabilities"][name] - probability) <= TOLERANCE
        else:
            assert abs(answer["prediction"] - expected_answer["prediction"]) <= TOLERANCE


def test_environment_has_only_torch_safetensors_and_numpy(python: bare.Interpreter, tmp_path: Path) -> None:
    for name in ("netloom", "captum", "pandas", "sklearn", "scipy", "pydantic", "streamlit", "PIL"):
        process = python.run(tmp_path, "-c", f"import {name}")
        assert process.returncode == 1
        assert "ModuleNotFoundError" in process.stderr, name
    process = python.run(tmp_path, "-c", "import torch, safetensors.torch, numpy; print(torch.__version__)")
    assert process.stdout.strip() == torch.__version__, process.stderr


@pytest.mark.parametrize("name", NAMES)
def test_bundle_predictions_match_app(name: str, python: bare.Interpreter, tmp_path: Path) -> None:
    run = trained(name)
    folder = unpack_bundle(run, tmp_path)
    test_rows = run.data.split["test"][:ROWS].tolist()
    rows = [json_row(run.data.row(row)) for row in test_rows]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    expected = predict(run, [run.data.row(row) for row in test_rows])
    assert_predictions_close(run_predict(python, folder, "rows.json"), expected)
    shipped = json.loads((folder / "example.json").read_text(encoding="utf-8"))
    assert shipped == rows[0]


@pytest.mark.parametrize("name", ["table", "image", "transformer"])
def test_bundle_logits_match_app(name: str, python: bare.Interpreter, tmp_path: Path) -> None:
    """The raw logits, before the softmax."""
    run = trained(name)
    folder = unpack_bundle(run, tmp_path)
    code = (
        "import json, predict, torch; network, preprocess = predict.load(); row = predict.read(predict.HERE / "
        "'example.json', preprocess); arrays = predict.encode_rows(preprocess, [row]); "
        "print(json.dumps(network(*map(torch.from_numpy, arrays.values())).tolist()))"
    )
    process = python.run(folder, "-c", code)
    assert process.returncode == 0, process.stderr
    row = int(run.data.split["test"][0])
    expected = run.output({key: value[row : row + 1] for key, value in run.data.inputs.items()})
    assert np.abs(np.array(json.loads(process.stdout)) - expected.numpy()).max() <= TOLERANCE


def test_script_predicts_default_example_and_csv_rows(python: bare.Interpreter, tmp_path: Path) -> None:
    run = trained("table")
    folder = unpack_bundle(run, tmp_path)
    test_rows = run.data.split["test"][:ROWS].tolist()
    expected = predict(run, [run.data.row(row) for row in test_rows])
    assert_predictions_close([run_predict(python, folder)], expected[:1])
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(run.data.row(test_rows[0])))
        writer.writeheader()
        writer.writerows(run.data.row(row) for row in test_rows)
    assert_predictions_close(run_predict(python, folder, "rows.csv"), expected)


def test_script_reads_texts_and_series_from_csv(python: bare.Interpreter, tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [{"text": "[is it raining, or not?]"}, {"text": 'say "hello"'}]
    series = [json_row(trained("series").data.row(row)) for row in (3, 4)]
    for name, rows in (("recurrent", texts), ("series", series)):
        run = trained(name)
        (tmp_path / name).mkdir()
        folder = unpack_bundle(run, tmp_path / name)
        with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(rows[0])
            writer.writerows([str(value) for value in row.values()] for row in rows)
        assert_predictions_close(run_predict(python, folder, "rows.csv"), predict(run, rows))


def test_script_handles_categories_and_missing_values(python: bare.Interpreter, tmp_path: Path, home: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["size,colour,kind"]
    for _ in range(150):
        colour, size = ("red", "grün", "a,b")[random.integers(3)], random.normal()
        lines.append(f'{size:.3f},"{colour}",{"big" if size > 0 else "small"}')
    info = add_file("\n".join(lines).encode(), "things.csv", home, target="kind")
    choice = DataChoice(dataset=info.name)
    source = ("Input", {"field": "features", "kind": "vector", "shape": [5]})
    project: Project = chain(source, ("Linear", {"units": 2}), data=choice, training=Training(epochs=2))
    run = fit_here(project, home)
    folder = unpack_bundle(run, tmp_path)
    rows: list[dict[str, Any]] = [
        {"size": 0.5, "colour": "grün"},
        {"size": None, "colour": "never seen"},
        {"size": -1, "colour": None},
    ]
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    assert_predictions_close(run_predict(python, folder, "rows.json"), predict(run, rows))
    (folder / "rows.csv").write_text("size,colour\n0.5,grün\n,never seen\n-1,\n", encoding="utf-8")
    assert_predictions_close(run_predict(python, folder, "rows.csv"), predict(run, rows))


def test_script_pads_truncates_and_handles_unknown_text(python: bare.Interpreter, tmp_path: Path) -> None:
    for name in ("transformer", "characters"):
        run = trained(name)
        (tmp_path / name).mkdir()
        folder = unpack_bundle(run, tmp_path / name)
        rows: list[dict[str, Any]] = [{"text": text} for text in ("once", "wake me " * 30, "漢字 zebra!", "")]
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        assert_predictions_close(run_predict(python, folder, "rows.json"), predict(run, rows))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("rows.json", '{"mean radius": 1}', "The row has no column 'mean texture'"),
        ("rows.json", "[1, 2]", "A row is an object with a value for each column"),
        ("rows.json", "{", "Expecting property name"),
        ("missing.json", None, "No such file"),
    ],
)
def test_invalid_input_file_gives_one_line_error(
    file: str, text: str | None, message: str, python: bare.Interpreter, tmp_path: Path
) -> None:
    folder = unpack_bundle(trained("table"), tmp_path)
    if text is not None:
        (folder / file).write_text(text, encoding="utf-8")
    process = python.run(folder, "predict.py", file)
    assert process.returncode == 1
    assert process.stdout == ""
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["table", "characters"])
def test_bundle_contents(name: str) -> None:
    run = trained(name)
    bundle = zipfile.ZipFile(io.BytesIO(export.content(run, "bundle")))
    encoders = [file.name for file in files("netloom.modalities.encoding").iterdir() if file.name.endswith(".py")]
    assert bundle.namelist() == sorted(bundle.namelist())
    assert set(bundle.namelist()) == {
        "README.md", "box_decoding.py", "calibrated.py", "decode.py", "dialect.py", "example.json", "model.py",
        "network.py", "predict.py", "preprocess.json", "probability.py", "project.json", "raw_rows.py",
        "record_reader.py", "row_file.py", "time_steps.py", "weights.safetensors",
        *(f"encoding/{name}" for name in encoders),
    }  # fmt: skip
    assert bundle.read("model.py").decode() == run.source
    assert loads(bundle.read("project.json").decode()) == run.project
    weights = load(bundle.read("weights.safetensors"))
    for key, value in run.model.state_dict().items():
        assert torch.equal(weights[key], value)
    for name in [name for name in bundle.namelist() if name.endswith(".py") and name != "model.py"]:
        assert "type: ignore" not in bundle.read(name).decode()
        assert "netloom" not in bundle.read(name).decode()
    assert b"python predict.py" in bundle.read("README.md")


def test_bundle_is_deterministic() -> None:
    run = trained("table")
    again = fit_here(run.project)
    assert export.content(again, "bundle") == export.content(run, "bundle")
