"""From a template to a trained, evaluated, explained and exported network, with commands only."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netloom.data import prepare
from netloom.document import DataChoice, Training, read, write
from netloom.store import open_store
from tests.cli.conftest import Console, Trained
from tests.networks import chain
from tests.runs.examples import interrupted_when


def rows(count: int) -> list[dict[str, object]]:
    data = prepare(DataChoice(dataset="digits"))
    return [{"image": data.row(index)["image"].tolist()} for index in range(count)]


def test_train_reports_the_run(trained: Trained) -> None:
    value = trained.answer.value
    assert value["state"] == "finished"
    assert value["epochs"] == 2
    assert value["steps"] == 40
    assert value["test"]["accuracy"] > 0.6
    assert Path(value["folder"]).is_dir()
    store = open_store(trained.home)
    points = store.points(trained.run)
    store.close()
    rows = zip(points.epoch, points.split, points.name, points.value, strict=True)
    losses = [row[3] for row in rows if row[1:3] == ("train", "loss")]
    epoch_lines = [
        line.partition("  validation")[0] for line in trained.answer.err.splitlines() if line.startswith("epoch ")
    ]
    assert epoch_lines == [f"epoch {epoch}  loss {loss:.4g}" for epoch, loss in enumerate(losses, 1)]
    assert len(epoch_lines) == 2


def test_run_stores_the_command_line_settings(trained: Trained) -> None:
    frozen = read(Path(trained.answer.value["folder"]) / "project.json")
    assert (frozen.training.epochs, frozen.training.seed, frozen.training.device) == (2, 3, "cpu")
    store = open_store(trained.home)
    assert store.load(trained.answer.value["project"]).project == read(trained.document)
    store.close()


def test_same_document_is_the_same_project(trained: Trained) -> None:
    store, document = open_store(trained.home), read(trained.document)
    assert store.find_or_create_project(document) == trained.answer.value["project"]
    store.close()


def test_runs_lists_the_trained_run(console: Console, trained: Trained) -> None:
    (run, *other_runs) = console("runs", "--json", "--home", trained.home).value
    assert not other_runs
    assert (run["id"], run["state"], run["epoch"]) == (trained.run, "finished", 2)
    text = console("runs", "--home", trained.home)
    assert trained.run[:8] in text.out
    assert "Digits with an MLP" in text.out


@pytest.mark.parametrize("reference", ["last", "id", "prefix"])
def test_evaluate_matches_the_metrics_of_training(console: Console, trained: Trained, reference: str) -> None:
    name = {"last": "last", "id": trained.run, "prefix": trained.run[:6].upper()}[reference]
    value = console("evaluate", name, "--json", "--home", trained.home).value
    assert value["metrics"] == trained.answer.value["test"]
    assert sum(map(sum, value["confusion"])) == value["rows"] == 270


def test_evaluate_on_another_split(console: Console, trained: Trained) -> None:
    answer = console("evaluate", "last", "--split", "validation", "--home", trained.home)
    assert answer.code == 0
    assert "270 validation rows" in answer.out
    assert "accuracy" in answer.out


def test_predict_matches_the_exported_bundle(console: Console, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows(5)))
    predicted = console("predict", trained.run, tmp_path / "rows.json", "--json", "--home", trained.home).value
    assert len(predicted) == 5
    exported = console(
        "export", "last", "--format", "python", "--to", tmp_path / "b.zip", "--json", "--home", trained.home
    )
    assert exported.value["format"] == "bundle"
    assert exported.value["bytes"] == (tmp_path / "b.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        archive.extractall(tmp_path / "bundle")
    script = [sys.executable, "predict.py", str(tmp_path / "rows.json")]
    from_bundle = json.loads(subprocess.run(script, cwd=tmp_path / "bundle", capture_output=True, check=True).stdout)
    for local, bundled in zip(predicted, from_bundle, strict=True):
        assert local["prediction"] == bundled["prediction"]
        assert local["probabilities"] == pytest.approx(bundled["probabilities"], abs=1e-6)
        assert sum(local["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_predictions_of_image_files_name_them(console: Console, trained: Trained, tmp_path: Path) -> None:
    images = {f"{number}.png": np.array(row["image"]).reshape(8, 8) for number, row in enumerate(rows(2))}
    for name, pixels in images.items():
        Image.fromarray((pixels * 255 / 16).round().astype(np.uint8)).save(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in images:
            archive.write(tmp_path / name, f"new/{name}")
    several = console("predict", "last", tmp_path / "images.zip", "--json", "--home", trained.home).value
    assert [answer["file"] for answer in several] == ["new/0.png", "new/1.png"]
    (single,) = console("predict", "last", tmp_path / "1.png", "--json", "--home", trained.home).value
    assert (single["file"], single["prediction"]) == ("1.png", several[1]["prediction"])
    assert single["probabilities"] == pytest.approx(several[1]["probabilities"], rel=1e-5)
    lines = console("predict", "last", tmp_path / "images.zip", "--home", trained.home).out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["file", "prediction"], ["new/0.png", several[0]["prediction"]]]


def test_predict_reads_csv_and_standard_input(
    console: Console, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image"])
        writer.writerows([json.dumps(row["image"])] for row in rows(2))
    from_csv = console("predict", "last", tmp_path / "rows.csv", "--json", "--home", trained.home).value
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(rows(2)).encode())))
    from_stdin = console("predict", "last", "-", "--json", "--home", trained.home).value
    assert from_csv == from_stdin
    assert len(from_csv) == 2


def test_explain_satisfies_completeness(console: Console, trained: Trained) -> None:
    command = ("explain", "last", "--method", "integrated_gradients", "--example", 7, "--home", trained.home)
    value = console(*command, "--json").value
    assert value["example"]["row"] == 7
    assert value["proofs"]["completeness"]["relative_error"] < 0.02
    assert value["verdict"]["level"] in ("good", "caution", "poor")
    text = console(*command)
    assert value["verdict"]["sentence"] in text.out
    assert "Integrated Gradients" in text.out


def test_explain_uses_baseline_steps_layers_and_neurons(console: Console, trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps(rows(1)[0]))
    command = ("explain", "last", "--method", "integrated_gradients", "--example", 7, "--home", trained.home)
    for baseline, description in (
        ("blur", "compared with the image itself, blurred"),
        ("class:3", "compared with the mean of the training images of the class 3"),
        (f"file:{tmp_path / 'own.json'}", "compared with a row of your own"),
    ):
        text = console(*command, "--baseline", baseline, "--steps", 24)
        assert description in text.out.splitlines()[0], text.err
        assert "with 24 steps" in text.out
    flow = console("explain", "last", "--method", "flow", "--baseline", "white", "--home", trained.home)
    assert "compared with a white image" in flow.out.splitlines()[0]
    evaluated = console("evaluate", "last", "--home", trained.home, "--json").value
    mistakes = [item for item in evaluated["worst"] if item["predicted"] != item["target"]]
    surest = max(mistakes, key=lambda item: item["confidence"])
    assert f"Row {surest['row']}. Most confident mistake on the test rows" in flow.err
    over = ("explain", "last", "--over", "test", "--rows", 3, "--home", trained.home)
    layers = console(*over, "--method", "layer_conductance", "--baseline", "black", "--steps", 8, "--json").value
    assert "compared with a black image" in layers["sentence"]
    assert layers["options"]["n_steps"] == 8
    assert layers["parts"]
    neuron = console(*over, "--method", "neuron_gradient", "--neuron", "1", "--json")
    assert "neuron 1 of" in neuron.value["sentence"]
    beside = ("explain", "last", "--example", 7, "--against-method", "saliency", "--home", trained.home)
    both = console(*beside, "--method", "occlusion", "--baseline", "mean", "--json").value
    assert both["first"]["baseline"] == "the mean of the training images"
    assert both["second"]["baseline"] == ""


@pytest.mark.usefixtures("_training_here")
def test_custom_table_trains_and_predicts(console: Console, tmp_path: Path) -> None:
    home, table, document = tmp_path / "home", tmp_path / "points.csv", tmp_path / "points.json"
    lines = [f"{i % 7},{(i * 3) % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(120)]
    table.write_text("\n".join(["a,b,answer", *lines]))
    added = console("data", "add", table, "--name", "Punkte", "--target", "answer", "--home", home, "--json").value
    network = chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 16}),
        ("ReLU", {}),
        ("Linear", {"units": 2}),
        training=Training(epochs=30, learning_rate=0.05, batch_size=16),
        data=DataChoice(
            dataset="wine", options={"columns": {"a": {"scale": "minmax"}, "alcohol": {"scale": "none"}}}, seed=3
        ),
    )
    write(document, network)
    answer = console("train", document, "--data", "Punkte", "--home", home, "--json")
    assert answer.code == 0, answer.err
    assert answer.value["test"]["accuracy"] > 0.9
    choice = read(Path(answer.value["folder"]) / "project.json").data
    assert (choice.dataset, choice.options, choice.seed) == (added["name"], {"columns": {"a": {"scale": "minmax"}}}, 3)
    assert "The setting of the column 'alcohol' in the document does not fit the new data and is left out" in answer.err
    by_title = network.model_copy(update={"data": DataChoice(dataset="Punkte")})
    write(document, by_title)
    assert console("check", document, "--home", home).code == 0
    (tmp_path / "new.csv").write_text("a,b\n6,1\n0,1\n")
    predicted = console("predict", "last", tmp_path / "new.csv", "--home", home, "--json").value
    assert [row["prediction"] for row in predicted] == ["yes", "no"]
    (tmp_path / "new.csv").write_bytes("more;b; a\r\nx;1;6,0\r\ny;many;6\r\nz;1; 0\r\n".encode("utf-16"))
    reported = console("predict", "last", tmp_path / "new.csv", "--home", home, "--json")
    assert [reported.value[index] for index in (0, 2)] == predicted
    assert reported.value[1]["unreadable"] == {"b": "many"}
    assert "Column 'b': 1 of 3 rows" in reported.err
    assert "unreadable" not in console("predict", "last", tmp_path / "new.csv", "--home", home).out


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_the_run_and_keeps_it(console: Console, trained: Trained) -> None:
    with interrupted_when(console.home, lambda run: run.epoch >= 1):
        answer = console("train", trained.document, "--epochs", 10_000, "--json")
    assert answer.code == 130, answer.err
    assert "epoch 1 " in answer.err
    assert answer.value["state"] == "stopped"
    assert answer.value["test"]["accuracy"] > 0.3
    (run,) = console("runs", "--json").value
    assert run["state"] == "stopped"


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_worker_is_reported_with_its_reason(console: Console, trained: Trained) -> None:
    def kill() -> None:
        """Kill the worker after the first epoch."""
        store = open_store(console.home)
        while not (runs := store.runs()) or not runs[0].epoch or not runs[0].pid:
            time.sleep(0.1)
        store.close()
        os.kill(runs[0].pid, signal.SIGKILL)

    with ThreadPoolExecutor(1) as executor:
        killed = executor.submit(kill)
        answer = console("train", trained.document, "--epochs", 10_000)
        killed.result()
    assert answer.code == 1
    assert "epoch 1 " in answer.err
    assert "killed" in answer.err
