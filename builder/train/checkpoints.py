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
    """Write a checkpoint beside the others, then point to it, then forget all but the last two.

    At no moment is there less than before: what the pointer names is neither written to nor removed.

    Raises:
        OSError: the disk is full; nothing of the new one is left, and the one before is whole.
    """
    home = folder / "checkpoints"
    temporary = home / f".{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        _write(temporary, checkpoint)
        final = home / _free_name(folder, step)
        os.replace(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(home)
    write_bytes(folder / "last.json", json.dumps({"step": step, "folder": final.name}).encode())
    _forget(folder)


def tidy(folder: Path) -> None:
    """Remove what a worker that was ended in the middle of writing has left behind."""
    current = _pointed(folder)
    for name in _names(folder):
        if current is None or name > current:
            _remove(folder, name)
    for path in (folder / "checkpoints").glob(".*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in (*folder.glob(".writing-*"), *folder.glob("*/.writing-*")):
        path.unlink(missing_ok=True)


def load(folder: Path) -> tuple[int, Checkpoint] | None:
    """The last checkpoint and its step, or None where there is none."""
    import torch
    from safetensors.torch import load_file

    pointer = folder / "last.json"
    if not pointer.exists():
        return None
    step, home = int(json.loads(pointer.read_text())["step"]), _current(folder)
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
    return _current(folder) / "model.safetensors"


def separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors on the CPU, each in memory of its own, as safetensors asks for: shared weights are written twice."""
    found: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        found[name] = plain.clone() if plain.data_ptr() in taken else plain
        taken.add(plain.data_ptr())
    return found


def _write(home: Path, checkpoint: Checkpoint) -> None:
    import torch
    from safetensors.torch import save_file

    save_file(separate(checkpoint.weights), home / "model.safetensors")
    torch.save(checkpoint.state, home / "state.pt")
    if checkpoint.memory:
        save_file(separate(checkpoint.memory), home / "memory.safetensors")
    for file in home.iterdir():
        _sync(file)
    _sync(home)


# A checkpoint's folder is named by its step, and where one of that step is pointed to already also by a number: 7, 7-1.
Name = tuple[int, int]


def _free_name(folder: Path, step: int) -> str:
    """A name for a new checkpoint that does not touch the one that is pointed to."""
    current = _pointed(folder)
    number = current[1] + 1 if current and current[0] == step else 0
    for name in _names(folder):
        if name >= (step, number) and name != current:  # written, but never pointed to
            _remove(folder, name)
    return _text((step, number))


def _forget(folder: Path) -> None:
    """Keep the checkpoint that is pointed to and the one before."""
    current = _pointed(folder)
    older = sorted(name for name in _names(folder) if current and name < current)
    for name in older[: len(older) - KEEP + 1]:
        _remove(folder, name)


def _remove(folder: Path, name: Name) -> None:
    """Take a checkpoint away at once, and its files after that, so that none is ever there by half."""
    home = folder / "checkpoints"
    gone = home / f".{uuid.uuid4().hex}"
    os.replace(home / _text(name), gone)
    shutil.rmtree(gone, ignore_errors=True)


def _pointed(folder: Path) -> Name | None:
    """Which checkpoint is the last."""
    try:
        found = json.loads((folder / "last.json").read_bytes())
    except FileNotFoundError:
        return None
    return _name(str(found.get("folder", found["step"])))


def _current(folder: Path) -> Path:
    found = _pointed(folder)
    if found is None:
        raise FileNotFoundError("This run has no checkpoint yet.")
    return folder / "checkpoints" / _text(found)


def _names(folder: Path) -> list[Name]:
    try:
        entries = [entry.name for entry in (folder / "checkpoints").iterdir()]
    except FileNotFoundError:
        return []
    return [name for entry in entries if (name := _name(entry)) is not None]


def _name(text: str) -> Name | None:
    step, _, number = text.partition("-")
    return (int(step), int(number or 0)) if step.isdigit() and (number or "0").isdigit() else None


def _text(name: Name) -> str:
    return f"{name[0]}-{name[1]}" if name[1] else str(name[0])


def _sync(path: Path) -> None:
    """Have a file or a folder on the disk before anything else happens; Windows knows that for files alone."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
