"""A separate process generates the same source as this one, and can use torch.compile after training."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from netloom.compile import source
from netloom.document import DataChoice, dumps, loads
from netloom.templates import templates

SOURCES = """
import json, sys
from netloom.compile import source
from netloom.document import loads

print(json.dumps([source(loads(text)) for text in json.load(sys.stdin)]))
"""
COMPILED = """
import json, sys, tempfile
from pathlib import Path
from netloom.document import loads
from netloom.runs import fit_here

for text in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as home:
        fit_here(loads(text), Path(home))
import torch
compiled = torch.compile(torch.nn.Linear(3, 2), backend="eager")
print(json.dumps(compiled(torch.zeros(1, 3)).shape == (1, 2)))
"""


def document(name: str, optimizer: str, **options: int) -> str:
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": 1, "device": "cpu", "optimizer": optimizer})
    data = DataChoice(dataset=project.data.dataset, options={**project.data.options, **options})
    return dumps(project.model_copy(update={"training": training, "data": data}))


DOCUMENTS = [
    document("shapes_residual", "adam", rows=60),
    document("intents_transformer", "sgd"),
    document("intents_lstm", "muon"),
]


def run_apart(code: str) -> Any:
    """The JSON output of a process that gets the documents as its input."""
    command, inputs = [sys.executable, "-c", code], json.dumps(DOCUMENTS)
    completed = subprocess.run(command, input=inputs, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return json.loads(completed.stdout)


@pytest.mark.long
def test_torch_compile_works_after_validation_and_training() -> None:
    assert run_apart(COMPILED)


@pytest.mark.long
def test_source_is_equal_in_another_process() -> None:
    assert run_apart(SOURCES) == [source(loads(text)) for text in DOCUMENTS]
