"""Checkpoints in the folder of a run: written atomically, and never as a pickle that could run code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netloom.store import RunArtifacts
from netloom.training.weights.weight_files import (
    CheckpointError,
    StateDict,
    check_weights,
    read_weights,
    save_weights,
    save_weights_aside,
)

if TYPE_CHECKING:
    import torch

C = TypeVar("C")
# The previous checkpoint is the fallback if the last one is damaged.
KEEP = 2
# The files of a checkpoint's folder.
MODEL, STATE, MEMORY, AVERAGED = "model.safetensors", "state.pt", "memory.safetensors", "averaged.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of training, from which it continues with the same results.

    `state` holds plain values and tensors: optimizer, random numbers, epoch, step, position in the data, best metric.
    `memory` holds large tensors, such as a replay buffer. `averaged` are the weights to predict with if they are not
    those that training continues with: their EMA.
    """

    weights: dict[str, torch.Tensor]
    state: StateDict
    memory: dict[str, torch.Tensor] = field(default_factory=dict)
    averaged: dict[str, torch.Tensor] = field(default_factory=dict)


def save(artifacts: RunArtifacts, step: int, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, then update the pointer to the last one, then delete all but the last two.

    The checkpoint that the pointer names is never modified, so a crash at any time leaves a complete one.

    Raises:
        OSError: the disk is full; the new checkpoint is removed and the previous one is intact.
    """
    home = artifacts.checkpoints
    temporary = home / f".{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    try:
        _write(temporary, checkpoint)
        final = home / _free_name(artifacts, step)
        os.replace(temporary, final)
    except BaseException:  # also a signal: nobody else removes the folder before the next start of a worker
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(home)  # the rename must be on the disk before the pointer names its target
    artifacts.save_last_checkpoint({"step": step, "folder": final.name})
    _forget(artifacts)


def tidy(artifacts: RunArtifacts) -> None:
    """Remove incomplete files of a worker that was killed while writing."""
    try:
        current = _pointed(artifacts)
    except CheckpointError:  # the pointer is damaged, so any of them could be the last one
        pass
    else:
        for name in _names(artifacts):
            if current is None or name > current:  # the worker was killed before the pointer named it
                _remove(artifacts, name)
    for path in artifacts.checkpoints.glob(".*"):  # the temporary folders of `save` and `_remove`
        shutil.rmtree(path, ignore_errors=True)
    artifacts.remove_partial_files()


def load(artifacts: RunArtifacts) -> tuple[int, Checkpoint] | None:
    """Return the last intact checkpoint and its step; None if there is none.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    newest = _newest_whole(artifacts, _read)
    return newest and (newest[0][0], newest[1])


def last_intact_step(artifacts: RunArtifacts) -> int | None:
    """Return the step of the last intact checkpoint, by its checksums and without PyTorch, which a page does not import
    for this; None if there is none.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    newest = _newest_whole(artifacts, _check)
    return newest and newest[0][0]


def restore(artifacts: RunArtifacts, note: Callable[[str], object]) -> tuple[int, Checkpoint] | None:
    """Load the last intact checkpoint for the worker of the run; log a remark if a newer one was damaged.

    Raises:
        CheckpointError: all checkpoints are damaged; nothing was changed.
    """
    newest = _newest_whole(artifacts, _read)
    if newest is None:
        return None
    name, checkpoint, problem = newest
    if problem is not None:
        # Pointer first: a crash in between leaves the damaged ones, which are removed at the next start.
        artifacts.save_last_checkpoint({"step": name[0], "folder": _text(name)})
        for newer in [name_read for name_read in _names(artifacts) if name_read > name]:
            _remove(artifacts, newer)
        note(f"{problem} The run continues from the checkpoint of step {name[0]:,}.")
    return name[0], checkpoint


def restored_best(artifacts: RunArtifacts, note: Callable[[str], object]) -> dict[str, torch.Tensor] | None:
    """Return the best weights so far for a resumed worker; None if there are none.

    Damaged weights are renamed and logged, and None is returned.
    """
    path = artifacts.best_weights
    if not path.exists():
        return None
    try:
        return read_weights(path)
    except CheckpointError as error:
        os.replace(path, path.with_suffix(".damaged"))
        note(
            "The best weights so far are lost; from now on, the best weights are saved again. "
            f"{str(error).partition('. ')[0]}."
        )
        return None


def save_best(artifacts: RunArtifacts, weights: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Save the best weights so far with the step at which they were reached."""
    save_weights(artifacts.best_weights, separate(weights), {"facts": json.dumps(facts)})


def weights(artifacts: RunArtifacts, which: str = "best") -> dict[str, torch.Tensor]:
    """Return the weights of a run: "best" on the validation rows, or "last".

    Raises:
        CheckpointError: the file is damaged.
        FileNotFoundError: the run has no checkpoint yet.
    """
    return read_weights(weights_file(artifacts, which))


def last_step(artifacts: RunArtifacts) -> int | None:
    """Return the step of the last checkpoint; None if there is none.

    Raises:
        CheckpointError: the pointer to it cannot be read.
    """
    pointer = _pointed(artifacts)
    return pointer and pointer[0]


def chosen(artifacts: RunArtifacts) -> str:
    """Return which weights of a run are used: "best", or "last" if its document selects them."""
    return "last" if artifacts.training_setting("checkpoint") == "last" else "best"


def weights_file(artifacts: RunArtifacts, which: str = "best") -> Path:
    """Return the file of these weights to predict with. It is replaced atomically, never modified.

    Raises:
        CheckpointError: the pointer to the last checkpoint cannot be read.
        FileNotFoundError: the run has no checkpoint yet.
    """
    best = artifacts.best_weights
    if which == "best" and best.exists():
        return best
    current = _current(artifacts)
    averaged = current / AVERAGED
    return averaged if averaged.exists() else current / MODEL


def separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors to the CPU without shared memory, as safetensors requires: shared weights are written twice."""
    copies: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()  # without a copy if it is both already
        copies[name] = plain.clone() if plain.data_ptr() in storages else plain
        storages.add(plain.data_ptr())
    return copies


def _write(home: Path, checkpoint: Checkpoint) -> None:
    import torch

    save_weights_aside(home / MODEL, separate(checkpoint.weights))
    torch.save(checkpoint.state, home / STATE)
    for name, tensors in ((MEMORY, checkpoint.memory), (AVERAGED, checkpoint.averaged)):
        if tensors:
            save_weights_aside(home / name, separate(tensors))
    for file in home.iterdir():
        _sync(file)
    _sync(home)


def _newest_whole(artifacts: RunArtifacts, read: Callable[[Path], C]) -> tuple[Name, C, str | None] | None:
    """Return the name of the last intact checkpoint, what `read` returns for its folder, and the problem of a newer
    damaged one.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    problem: str | None = None
    try:
        current = _pointed(artifacts)
        if current is None:
            return None
        names = [current, *sorted((name for name in _names(artifacts) if name < current), reverse=True)]
    except CheckpointError as error:  # a checkpoint gets its name only once it is complete, so each is a candidate
        problem, names = str(error), sorted(_names(artifacts), reverse=True)
    for name in names:
        try:
            return name, read(artifacts.checkpoints / _text(name)), problem
        except CheckpointError as error:
            problem = problem or str(error)
    raise CheckpointError(
        f"{problem} There is no other checkpoint to continue from. Restore it from a backup, or reproduce the run "
        "from the start (Reproduce run, or netloom runs again)."
    )


def _read(home: Path) -> Checkpoint:
    """Read a checkpoint from its folder.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    import torch

    memory = home / MEMORY
    with _described(home):
        weights = read_weights(home / MODEL)
        _check_state(home)  # `torch.load` does not verify checksums
        state = torch.load(home / STATE, weights_only=True)  # unpickles tensors and plain values, never code
        return Checkpoint(weights, state, read_weights(memory) if memory.exists() else {})


def _check(home: Path) -> None:
    """Verify the checksums of the files of a checkpoint.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    with _described(home):
        check_weights(home / MODEL)
        _check_state(home)
        for name in (MEMORY, AVERAGED):
            if (home / name).exists():
                check_weights(home / name)


def _check_state(home: Path) -> None:
    with zipfile.ZipFile(home / STATE) as archive:
        if archive.testzip() is not None:
            raise zipfile.BadZipFile("its checksum does not match")


@contextmanager
def _described(home: Path) -> Iterator[None]:
    """Raise a `CheckpointError` for files of a checkpoint that are missing or cannot be read."""
    for name in (MODEL, STATE):
        if not (home / name).exists():
            raise CheckpointError(f"The last checkpoint is incomplete: there is no file {home / name}.")
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"The last checkpoint is damaged. {str(error).partition('. ')[0]}.") from error
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120].rstrip(".")
        raise CheckpointError(f"The last checkpoint is damaged: {home / STATE} cannot be read ({why}).") from error


# The folder of a checkpoint is named by its step, with a number if the pointer already names one of that step: 7, 7-1.
Name = tuple[int, int]


def _free_name(artifacts: RunArtifacts, step: int) -> str:
    """Return a name for a new checkpoint that differs from the one that the pointer names."""
    # A resumed run can save the same step again, and replacing the folder that the pointer names would not be atomic.
    current = _pointed(artifacts)
    number = current[1] + 1 if current and current[0] == step else 0
    for name in _names(artifacts):
        if name >= (step, number) and name != current:  # left by a crash before the pointer was updated
            _remove(artifacts, name)
    return _text((step, number))


def _forget(artifacts: RunArtifacts) -> None:
    """Delete all checkpoints but the one that the pointer names and the previous one."""
    current = _pointed(artifacts)
    older = sorted(name for name in _names(artifacts) if current and name < current)
    for name in older[: len(older) - KEEP + 1]:
        _remove(artifacts, name)


def _remove(artifacts: RunArtifacts, name: Name) -> None:
    """Rename a checkpoint, then delete its files, so that no incomplete checkpoint is ever visible."""
    home = artifacts.checkpoints
    gone = home / f".{uuid.uuid4().hex}"
    os.replace(home / _text(name), gone)
    shutil.rmtree(gone, ignore_errors=True)


def _pointed(artifacts: RunArtifacts) -> Name | None:
    """Return the checkpoint that the pointer names; None if there is none.

    Raises:
        CheckpointError: the pointer cannot be read.
    """
    try:
        pointer = artifacts.last_checkpoint()
        if pointer is None:
            return None
        name = _name(str(pointer.get("folder", pointer["step"])))
    except (ValueError, KeyError):  # the file is damaged, or its value is not the name of a checkpoint
        name = None
    if name is None:
        path = artifacts.last_checkpoint_file
        raise CheckpointError(f"The file {path}, which names the last checkpoint, is damaged.")
    return name


def _current(artifacts: RunArtifacts) -> Path:
    pointer = _pointed(artifacts)
    if pointer is None:
        raise FileNotFoundError("This run has no checkpoint yet.")
    return artifacts.checkpoints / _text(pointer)


def _names(artifacts: RunArtifacts) -> list[Name]:
    try:
        entries = [entry.name for entry in artifacts.checkpoints.iterdir()]
    except FileNotFoundError:
        return []
    return [name for entry in entries if (name := _name(entry)) is not None]


def _name(text: str) -> Name | None:
    step, _, number = text.partition("-")
    return (int(step), int(number or 0)) if step.isdigit() and (number or "0").isdigit() else None


def _text(name: Name) -> str:
    return f"{name[0]}-{name[1]}" if name[1] else str(name[0])


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk; Windows supports only files."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
