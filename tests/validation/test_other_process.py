"""A process of its own trains, writes the same source of a document as other processes, and may compile."""

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
import torch
compiled = torch.compile(torch.nn.Linear(3, 2), backend="eager")
works = compiled(torch.zeros(1, 3)).shape == (1, 2)
print(json.dumps([sources, works]))
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


def test_what_is_compiled_works_beside_what_is_checked_and_trained(apart: Any) -> None:
    assert apart[1]


def test_source_survives_a_file_and_another_process(apart: Any) -> None:
    assert apart[0] == [source(loads(text)) for text in DOCUMENTS]
