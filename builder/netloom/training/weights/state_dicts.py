"""State dicts: files of weights without a network, and the assignment of their tensors to a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compile import module
from netloom.compile.importers import UnreadableModelError
from netloom.document import Project

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]
SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
# Where training scripts put the weights beside an optimizer and the number of the epoch
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
# What DistributedDataParallel, torch.compile and Lightning put in front of every name
_PREFIXES = ("module.", "_orig_mod.", "model.")
# No output depends on the batch counter of batch normalization, and some formats lack it.
_COUNTER = "num_batches_tracked"
_DEPTH = 3


@dataclass(frozen=True)
class Assignment:
    """The tensor of a file for each tensor of a network; `by_names` is False if only shapes and their order agree."""

    names: dict[str, str]
    by_names: bool


def is_state_dict(path: Path) -> bool:
    """Whether the name of a file is that of a state dict, and its content is not an exported program."""
    from netloom.compile.importers.torch_export import looks_like_pt2

    return path.suffix.lower() in SUFFIXES and path.is_file() and not looks_like_pt2(path)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file. Nothing in it is executed: only tensors and plain values are unpickled.

    Raises:
        UnreadableModelError: the file is damaged, or contains something else.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError:
        raise UnreadableModelError("The safetensors file is damaged or truncated; save or download it again.") from None
    except Exception:  # torch.load raises exceptions of many classes for files that it refuses
        raise UnreadableModelError(
            "This file is not a state dict: it is damaged, or contains Python objects, which can execute code and are "
            "never loaded. Save the weights with torch.save(model.state_dict(), path), the model with "
            "torch.export.save, or import your own code by netloom import module:function."
        ) from None
    tensors = _tensors(content)
    if not tensors:
        raise UnreadableModelError("The file contains no tensors with names, so it is not a state dict.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def assign(project: Project, shapes: Shapes) -> Assignment | None:
    """Return the tensor of a file for each tensor of a project's network; None if they do not fit.

    Tensors with the same names must have the same shapes. With other names, their shapes must be equal in the order of
    the file.

    Raises:
        CompileError: the network has errors.
    """
    import torch

    with torch.device("meta"):
        state = module(project).state_dict()
    needed = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith(_COUNTER)}
    tensors = {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}
    if not needed or len(needed) != len(tensors):
        return None
    if needed == tensors:
        return Assignment({name: name for name in needed}, True)
    if list(needed.values()) != list(tensors.values()):
        return None
    return Assignment(dict(zip(needed, tensors, strict=True)), False)


def _tensors(content: Any, depth: int = 0) -> dict[str, torch.Tensor]:
    """The tensors in the content of a file, also in a checkpoint of a training script."""
    import torch

    if not isinstance(content, Mapping) or depth > _DEPTH:
        return {}
    tensors = {str(name): value.detach() for name, value in content.items() if isinstance(value, torch.Tensor)}
    if tensors:
        return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name in _WRAPPERS:
        if inner_tensors := _tensors(content.get(name), depth + 1):
            return inner_tensors
    return {}
