"""Files of weights, written with a checksum that is verified when they are read.

The checksum is in the header of the safetensors file, so that both are replaced together. Older files have no checksum
and are read without verification.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from netloom.document import write_bytes

if TYPE_CHECKING:
    import torch

# The state of an object as plain values and tensors, which its class saves and restores, as in PyTorch.
StateDict: TypeAlias = dict[str, Any]
SUM = "sha256"
# A safetensors file begins with the length of its JSON header, in 8 bytes; safetensors limits the header to 100 MB.
# https://huggingface.co/docs/safetensors/index#format
_LENGTH = 8
_MAX_HEADER = 100_000_000
# The names of number types in such a header, and those of PyTorch, which the checksum contains.
_DTYPES = {
    "BOOL": "torch.bool", "U8": "torch.uint8", "I8": "torch.int8", "I16": "torch.int16", "I32": "torch.int32",
    "I64": "torch.int64", "F16": "torch.float16", "BF16": "torch.bfloat16", "F32": "torch.float32",
    "F64": "torch.float64",
}  # fmt: skip
# Verified files, each with its inode, size and modification time: pages check the same files again and again, and
# hashing them takes long.
_whole: dict[Path, tuple[int, int, int]] = {}


class CheckpointError(ValueError):
    """The weights of a run do not exist, or cannot be read; the message says which and why."""


def save_weights(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors on the CPU without shared memory: to a temporary file, then fsync and rename.

    Raises:
        OSError: the disk is full.
    """
    from safetensors.torch import save

    write_bytes(path, save(dict(tensors), {**(metadata or {}), SUM: digest(tensors)}))


def save_weights_aside(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors to a file that is not read yet, without a second copy in memory.

    Raises:
        OSError: the disk is full.
    """
    from safetensors.torch import save_file

    save_file(dict(tensors), path, {SUM: digest(tensors)})


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file.

    Raises:
        CheckpointError: the file is truncated, or its checksum does not match.
        FileNotFoundError: there is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError:  # an OSError, too, but a missing file is not a damaged one
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, _why(error)) from error
    checksum = recorded(path)
    if checksum and digest(tensors) != checksum:
        raise damaged(path, "its checksum (SHA-256) does not match its content")
    return tensors


def check_weights(path: Path) -> None:
    """Verify the checksum of a file, once per version of the file.

    Raises:
        CheckpointError: it is damaged.
        FileNotFoundError: there is no such file.
    """
    status = path.stat()
    stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
    if _whole.get(path) != stamp:
        checksum = recorded(path)
        if not checksum or _file_digest(path) != checksum:
            read_weights(path)  # says what is wrong
        _whole[path] = stamp


def recorded(path: Path) -> str:
    """Return the checksum in the header of a file; "" if there is none or it cannot be read."""
    return metadata(path).get(SUM, "")


def metadata(path: Path) -> dict[str, str]:
    """Return the metadata in the header of a file, without reading its tensors; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(_LENGTH), "little")
            header = json.loads(file.read(size)) if size < _MAX_HEADER else {}
        return {str(key): str(value) for key, value in header.get("__metadata__", {}).items()}
    except (OSError, ValueError, AttributeError, MemoryError):
        return {}


def _file_digest(path: Path) -> str:
    """Return the `digest` of the tensors of a file without PyTorch, which a page does not import for this; "" if the
    file has another form than those of Netloom."""
    summed = hashlib.sha256()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
            header = json.loads(content[_LENGTH:start])
            header.pop("__metadata__", None)
            for name in sorted(header):
                first, end = header[name]["data_offsets"]
                shape = tuple(header[name]["shape"])
                summed.update(f"{name}\n{_DTYPES[header[name]['dtype']]}\n{shape}\n".encode())
                with memoryview(content) as view, view[start + first : start + end] as values:
                    if len(values) != end - first:
                        return ""
                    summed.update(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return summed.hexdigest()


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of tensors on the CPU: names, types, shapes and values, in the order of their names."""
    import torch

    summed = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        summed.update(f"{name}\n{tensor.dtype}\n{tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            # As bytes, because NumPy does not have bfloat16
            summed.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return summed.hexdigest()


def damaged(path: Path, why: str) -> CheckpointError:
    """Return the error for a file that cannot be read: which file, why, and what to do."""
    return CheckpointError(
        f"The file {path} is damaged: {why}. Restore it from a backup, choose another checkpoint of the run, or "
        "reproduce the run (Reproduce run, or netloom runs again)."
    )


def _why(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(".")
