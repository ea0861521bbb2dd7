"""`--prepare`, and what an evaluation of an imported network says of its inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from netloom.data import prepare
from netloom.document import DataChoice, read
from tests.cli.conftest import Console
from tests.compile.test_import_prepare import written


def test_an_evaluation_feeds_what_the_model_was_trained_on(console: Console, tmp_path: Path) -> None:
    """The answers of a network on pixels from 0 to 1, evaluated as it is: those of PyTorch, and not those on others."""
    data = prepare(DataChoice(dataset="digits", prepare="scale"))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    rows, classes = data.inputs["image"][data.split["train"]], data.target[data.split["train"]]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows), classes).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        test = data.split["test"]
        wanted = nn.functional.cross_entropy(model(data.inputs["image"][test]), data.target[test]).item()
    written(model, rows[:3], tmp_path / "m.pt2")
    answer = console("import", tmp_path / "m.pt2", "--to", tmp_path / "m.json", "--json")
    assert answer.value["prepare"] == "scale"
    evaluate = ("train", tmp_path / "m.json", "--data", "digits", "--epochs", "0", "--json")
    said = console(*evaluate, "--from", tmp_path / "m.safetensors")
    assert said.value["test"]["loss"] == pytest.approx(wanted, rel=1e-4)
    assert "Inputs: pixels are fed from 0 to 1." in said.err
    other = console(*evaluate, "--from", tmp_path / "m.safetensors", "--prepare", "standardize")
    assert "Inputs: pixels are standardized by the training rows" in other.err
    assert abs(other.value["test"]["loss"] - wanted) > 0.01
    frozen = read(Path(other.value["folder"]) / "project.json")
    assert frozen.data.prepare == "standardize"
