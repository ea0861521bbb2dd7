"""`netloom import`: an ONNX file becomes a document with weights, or a project."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from builder.compile import module
from builder.graph import read
from tests.cli.conftest import Console


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()


@pytest.fixture
def file(network: nn.Module, tmp_path: Path) -> Path:
    made = io.BytesIO()
    target: Any = made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is old, and the quicker one
        torch.onnx.export(
            network, (torch.zeros(1, 4),), target, dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
        )
    path = tmp_path / "small.onnx"
    path.write_bytes(made.getvalue())
    return path


def test_document_and_weights(console: Console, file: Path, network: nn.Module, tmp_path: Path) -> None:
    target = tmp_path / "drawn.json"
    answer = console("import", file, "--to", target, "--json")
    assert answer.code == 0, answer.err
    assert answer.value["file"] == str(target)
    assert answer.value["remarks"] == []
    drawn = module(read(target))
    drawn.load_state_dict(load_file(tmp_path / "drawn.safetensors"))
    rows = torch.randn(5, 4)
    assert torch.allclose(drawn.eval()(rows), network(rows), atol=1e-6)


def test_nothing_is_overwritten_without_force(console: Console, file: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn.safetensors").write_bytes(b"mine")
    answer = console("import", file, "--to", tmp_path / "drawn.json")
    assert answer.code == 1
    assert "--force" in answer.err
    assert (tmp_path / "drawn.safetensors").read_bytes() == b"mine"
    assert not (tmp_path / "drawn.json").exists()
    assert console("import", file, "--to", tmp_path / "drawn.json", "--force").code == 0
    assert (tmp_path / "drawn.safetensors").read_bytes() != b"mine"


def test_a_project_of_the_app(console: Console, file: Path) -> None:
    from builder.store import open_store

    answer = console("import", file, "--name", "My network")
    assert answer.code == 0, answer.err
    assert "project" in answer.out
    assert "weights were not kept" in answer.out
    assert [row.name for row in open_store(console.home).list_projects()] == ["My network"]


def test_a_damaged_file_is_a_sentence(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x80" * 50)
    answer = console("import", path, "--to", tmp_path / "x.json")
    assert answer.code == 1
    assert answer.err.strip().endswith("export it again.")
    assert not (tmp_path / "x.json").exists()
    assert console("import", tmp_path / "missing.onnx").code == 1
    assert console("import", path, "--to", tmp_path / "no" / "x.json").code == 1
