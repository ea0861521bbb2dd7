"""Checkpoints in a run's folder: whole or not there at all, and never a pickle that could run code."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from builder.graph import write_bytes

if TYPE_CHECKING:
    import torch

KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to go on as if nothing had happened.

    `state` is plain values and tensors: optimizer, random numbers, epoch, step, place in the data, best so far.
    `memory` is what is too large to stand there, such as what an agent remembers.
    """

    weights: dict[str, torch.Tensor]
    state: dict[str, Any]
    memory: dict[str, torch.Tensor] = field(default_factory=dict)


def save(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside the others, then point to it, then forget all but the last two."""
    import torch
    from safetensors.torch import save_file

    home = folder / "checkpoints"
    temporary = home / f".{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    save_file(separate(checkpoint.weights), temporary / "model.safetensors")
    torch.save(checkpoint.state, temporary / "state.pt")
    if checkpoint.memory:
        save_file(separate(checkpoint.memory), temporary / "memory.safetensors")
    for file in temporary.iterdir():
        _sync(file)
    final = home / str(step)
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    write_bytes(folder / "last.json", json.dumps({"step": step}).encode())
    for old in sorted(_steps(folder))[:-KEEP]:
        shutil.rmtree(home / str(old), ignore_errors=True)


def load(folder: Path) -> tuple[int, Checkpoint] | None:
    """The last checkpoint and its step, or None where there is none."""
    import torch
    from safetensors.torch import load_file

    pointer = folder / "last.json"
    if not pointer.exists():
        return None
    step = int(json.loads(pointer.read_text())["step"])
    home = folder / "checkpoints" / str(step)
    state = torch.load(home / "state.pt", weights_only=True)
    memory = home / "memory.safetensors"
    return step, Checkpoint(load_file(home / "model.safetensors"), state, load_file(memory) if memory.exists() else {})


def save_best(folder: Path, weights: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Keep the best weights so far, with the step at which they were found."""
    from safetensors.torch import save

    metadata = {"facts": json.dumps(facts)}
    write_bytes(folder / "best.safetensors", save(separate(weights), metadata))


def weights(folder: Path, which: str = "best") -> dict[str, torch.Tensor]:
    """The weights of a run: "best" on the validation rows, or "last".

    Raises:
        FileNotFoundError: the run has not got as far as a checkpoint.
    """
    from safetensors.torch import load_file

    return load_file(weights_file(folder, which))


def chosen(folder: Path) -> str:
    """Which weights of a run are used: "best", or "last" where its document says so."""
    try:
        found = json.loads((folder / "project.json").read_bytes())["training"].get("keep")
    except (OSError, ValueError, KeyError):
        return "best"
    return "last" if found == "last" else "best"


def weights_file(folder: Path, which: str = "best") -> Path:
    """The file of those weights; it is never written to, only exchanged as a whole.

    Raises:
        FileNotFoundError: the run has not got as far as a checkpoint.
    """
    best, pointer = folder / "best.safetensors", folder / "last.json"
    if which == "best" and best.exists():
        return best
    if not pointer.exists():
        raise FileNotFoundError("This run has no checkpoint yet.")
    return folder / "checkpoints" / str(json.loads(pointer.read_text())["step"]) / "model.safetensors"


def separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, each in memory of its own, as safetensors asks for: shared weights are written twice."""
    found: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        found[name] = plain.clone() if plain.data_ptr() in taken else plain
        taken.add(plain.data_ptr())
    return found


def _steps(folder: Path) -> list[int]:
    return [int(entry.name) for entry in (folder / "checkpoints").iterdir() if entry.name.isdigit()]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
