"""The option `--prepare`, and what the evaluation of an imported network reports about its inputs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from netloom.data import prepare
from netloom.document import DataChoice, read
from tests.cli.conftest import Console
from tests.compile.test_import_prepare import save_program


@pytest.mark.usefixtures("_training_here")
def test_evaluation_uses_the_imported_preprocessing(console: Console, tmp_path: Path) -> None:
    """A network trained on pixels from 0 to 1: the evaluation matches PyTorch, and does not with other
    preprocessing."""
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
        expected = nn.functional.cross_entropy(model(data.inputs["image"][test]), data.target[test]).item()
    save_program(model, rows[:3], tmp_path / "m.pt2")
    answer = console("import", tmp_path / "m.pt2", "--to", tmp_path / "m.json", "--json")
    assert answer.value["prepare"] == "scale"
    evaluate = ("train", tmp_path / "m.json", "--data", "digits", "--epochs", "0", "--json")
    scaled = console(*evaluate, "--from", tmp_path / "m.safetensors")
    assert scaled.value["test"]["loss"] == pytest.approx(expected, rel=1e-4)
    assert "Inputs: pixels are fed from 0 to 1." in scaled.err
    standardized = console(*evaluate, "--from", tmp_path / "m.safetensors", "--prepare", "standardize")
    assert "Inputs: pixels are standardized by the training rows" in standardized.err
    assert abs(standardized.value["test"]["loss"] - expected) > 0.01
    frozen = read(Path(standardized.value["folder"]) / "project.json")
    assert frozen.data.prepare == "standardize"
