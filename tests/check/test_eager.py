"""What costs a process as much as torch itself, torch's compiler, is not imported where nothing is compiled."""

from __future__ import annotations

import subprocess
import sys

TRAINED = """
import sys, tempfile
from pathlib import Path
from builder.templates import templates
from builder.train import fit_here

for name, optimizer in (("digits_resnet", "adam"), ("intents_transformer", "sgd"), ("intents_lstm", "muon")):
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": 1, "device": "cpu", "optimizer": optimizer})
    with tempfile.TemporaryDirectory() as home:
        fit_here(project.model_copy(update={"training": training}), Path(home))
print("torch._dynamo" in sys.modules)
import torch
# And where something is, it still works.
compiled = torch.compile(torch.nn.Linear(3, 2), backend="eager")
print(compiled(torch.zeros(1, 3)).shape == (1, 2), "torch._dynamo" in sys.modules)
"""


def test_checking_and_training_leave_torchs_compiler_alone() -> None:
    done = subprocess.run([sys.executable, "-c", TRAINED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["False", "True", "True"]
