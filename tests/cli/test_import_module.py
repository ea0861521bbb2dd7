"""`netloom import module:function`: the user's PyTorch module becomes a document with its weights."""

from __future__ import annotations

import importlib
import io
import logging
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from netloom.compile import module
from netloom.document import read
from tests.cli.conftest import Console

MODULE_SOURCE = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


make.example_inputs = torch.zeros(1, 4)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 3)

    def forward(self, tokens):
        return self.table(tokens).mean(1)


def broken():
    raise KeyError("nothing\\nhere")


number = 3
"""


@pytest.fixture
def module_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user module, which is also the working directory."""
    (tmp_path / "own_models.py").write_text(MODULE_SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_function_with_example_inputs_is_imported(console: Console, module_folder: Path) -> None:
    answer = console("import", "own_models:make", "--to", module_folder / "drawn.json", "--json")
    assert answer.code == 0, answer.err
    imported = module(read(module_folder / "drawn.json"))
    imported.load_state_dict(load_file(module_folder / "drawn.safetensors"))
    rows = torch.randn(5, 4)
    reference = importlib.import_module("own_models").make()
    assert torch.allclose(imported.eval()(rows), reference(rows), atol=1e-6)


def test_class_with_integer_inputs_is_imported(console: Console, module_folder: Path) -> None:
    answer = console("import", "own_models:Words", "--input", "2x7:int", "--to", module_folder / "drawn.json", "--json")
    assert answer.code == 0, answer.err
    assert answer.value["name"] == "Words"
    imported = module(read(module_folder / "drawn.json"))
    imported.load_state_dict(load_file(module_folder / "drawn.safetensors"))
    rows = torch.randint(0, 10, (3, 7))
    assert torch.allclose(imported.eval()(rows), importlib.import_module("own_models").Words()(rows), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["own_models:Words"], "--input"),
        (["own_models:Words", "--input", "2by7"], "is not a shape"),
        (["own_models:make", "--input", "2x7"], "cannot export"),
        (["own_models:Words", "--input", "2x7"], "indices"),  # from 2.13 on, PyTorch itself refuses them
        (["own_models:nothing"], "no attribute 'nothing'"),
        (["own_models:broken"], "KeyError"),
        (["own_models:number"], "torch.nn.Module"),
        (["no_such_models:make"], "no module 'no_such_models'"),
        (["model.pt2", "--input", "2x7"], "MODULE:NAME"),
    ],
)
def test_import_errors_are_one_line(
    words: list[str], message: str, console: Console, module_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    torch_log = logging.getLogger("torch._subclasses.fake_tensor")  # of tracebacks
    monkeypatch.setattr(torch_log, "handlers", [logging.StreamHandler(log)])
    answer = console("import", *words, "--to", module_folder / "drawn.json")
    assert answer.code == (1 if message in ("cannot export", "indices", "KeyError", "torch.nn.Module") else 2)
    assert message in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert log.getvalue() == ""
    assert not (module_folder / "drawn.json").exists()
