"""What a process of its own shows: what costs it as much as torch itself, torch's compiler, is not imported where
nothing is compiled, and the source of a document is the one that other processes write."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from netloom.compile import source
from netloom.document import DataChoice, dumps, loads
from netloom.templates import templates

APART = """
import json, sys, tempfile
from pathlib import Path
from netloom.compile import source
from netloom.document import loads
from netloom.runs import fit_here

documents = json.load(sys.stdin)
for text in documents:
    with tempfile.TemporaryDirectory() as home:
        fit_here(loads(text), Path(home))
sources = [source(loads(text)) for text in documents]
spared = "torch._dynamo" not in sys.modules
import torch
# And where something is compiled, it still works.
compiled = torch.compile(torch.nn.Linear(3, 2), backend="eager")
works = compiled(torch.zeros(1, 3)).shape == (1, 2) and "torch._dynamo" in sys.modules
print(json.dumps([sources, spared, works]))
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


@pytest.fixture(scope="module")
def apart() -> Any:
    """What a process says that has trained all of them."""
    command, given = [sys.executable, "-c", APART], json.dumps(DOCUMENTS)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_checking_and_training_leave_torchs_compiler_alone(apart: Any) -> None:
    _, spared, works = apart
    assert spared
    assert works


def test_source_survives_a_file_and_another_process(apart: Any) -> None:
    assert apart[0] == [source(loads(text)) for text in DOCUMENTS]
