"""`netloom collected`: from a corrected row to a run that was retrained on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from netloom.api import load_run
from netloom.data import prepare
from netloom.store import open_store
from tests.cli.conftest import Console, Trained
from tests.runs.examples import trained_here


@pytest.fixture
def console(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Console:
    """A copy of the trained data folder, because the commands change it."""
    shutil.copytree(trained.home, tmp_path / "home")
    return Console(tmp_path / "home", capsys)


def test_a_row_is_collected_relabeled_and_trained_on(console: Console, trained: Trained, tmp_path: Path) -> None:
    run = load_run(trained.run, home=console.home)
    file = tmp_path / "row.json"
    file.write_text(json.dumps({"image": run.data.row(0)["image"].tolist()}))
    assert "No examples collected" in console("collected", "list", "last").out
    assert "no collected examples" in console("collected", "version", "last").err
    answer = console("collected", "add", "last", "--file", file, "--label", "seven")
    assert answer.code == 2
    assert "'seven' is not a class" in answer.err
    assert "needs its correct label" in console("collected", "add", "last", "--file", file).err
    assert "can be collected" in console("collected", "add", "last", "--request", "x y 1").err
    assert "No logged prediction" in console("collected", "suggest", "last").out
    collected = open_store(console.home).collected(run.run.project_id if run.run is not None else "")
    assert collected.add({}, "7", "Request to x", source="x y 1") is not None
    assert "collected already" in console("collected", "add", "last", "--request", "x y 1").err
    collected.delete({example.id for example in collected.all()})
    labels = {"price": 12500.5, "tags": ["a", "b"]}
    collected.add({}, labels, "Request to x", source="x y 2", prediction=["a", "c"])
    listed = console("collected", "list", "last").out
    assert "price: 12500; tags: a, b" in listed
    assert " a, c " in listed
    collected.delete({example.id for example in collected.all()})
    both = tmp_path / "rows.json"
    both.write_text(f"[{file.read_text()}, {file.read_text()}]")
    several = console("collected", "add", "last", "--file", both, "--label", "7")
    assert "holds 2 rows, but one row is needed" in several.err
    assert console("collected", "add", "last", "--file", file, "--label", "7").code == 0
    assert console("collected", "add", "last", "--file", file, "--label", "3").code == 0
    first, second = console("collected", "list", "last", "--json").value
    assert (first["label"], second["label"], first["origin"]) == ("7", "3", "Command line")
    assert console("collected", "relabel", "last", first["id"][:8], "9").code == 0
    assert console("collected", "delete", "last", second["id"]).code == 0
    assert "No collected example begins" in console("collected", "delete", "last", second["id"]).err
    [example] = console("collected", "list", "last", "--json").value
    assert example["label"] == "9"
    version = console("collected", "version", "last", "--json").value
    assert version["title"].endswith("with 1 more")
    with trained_here():
        answer = console("collected", "retrain", trained.run, "--data", version["name"])
    assert answer.code == 0, answer.err
    assert "continues from the weights" in answer.err
    assert f"--over {trained.run[:8]}" in answer.err
    [retrained, *_] = open_store(console.home).runs()
    assert retrained.title.endswith("retrained")
    document = open_store(console.home).artifacts(retrained.id).project()
    assert len(prepare(document.data, console.home).split["train"]) == len(run.data.split["train"]) + 1
