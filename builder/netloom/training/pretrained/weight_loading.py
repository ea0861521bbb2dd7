"""Loads the tensors of a folder under the names of a document's network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.compile import module, source
from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.compile.importers.preparation import parse_image_processor, with_preparation
from netloom.core.text import plain
from netloom.document import Preparation, Project
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.pretrained.documents import document
from netloom.training.pretrained.families import BLOCKS, FAMILIES, Family, Layer, Source
from netloom.training.pretrained.folder import Folder, open_folder
from netloom.training.pretrained.resnet import residual_names
from netloom.training.weights.initialization import Fit, fit

if TYPE_CHECKING:
    import torch
    from torch import nn

_DROPS = re.compile(r"dropout|pdrop")
COUNTED = "num_batches_tracked"
_LISTED = 6


@dataclass(frozen=True)
class LoadedTensors:
    """`weights` by the names of the network's tensors, their `fit`, and remarks on unused ones."""

    weights: dict[str, torch.Tensor]
    fit: Fit
    remarks: tuple[str, ...]


def read_folder(path: str | Path, name: str = "", prepare: Preparation | None = None) -> ImportedModel:
    """Import the network of a folder with its weights. `prepare` is the preprocessing of inputs; by default that of
    preprocessor_config.json.

    Raises:
        UnreadableModelError: the folder cannot be imported; the message says why.
    """
    folder = open_folder(path)
    project = document(folder, name or folder.path.resolve().name)
    loaded = load_tensors(project, folder)
    remarks = list(loaded.remarks)
    if not loaded.fit.complete:
        remarks.insert(0, loaded.fit.sentence())
    rates = {
        key: value for key, value in folder.config.items() if _DROPS.search(key) and type(value) is float and value
    }
    if rates:
        listed = ", ".join(f"{plain(key)[:60]} {value:g}" for key, value in sorted(rates.items()))
        remarks.append(
            f"Dropout in training ({listed}) is not imported; set it in the layers before you train further."
        )
    processor = folder.processor()
    return with_preparation(
        ImportedModel(
            project, loaded.weights, tuple(remarks), None if processor is None else parse_image_processor(processor)
        ),
        prepare,
    )


def load_tensors(project: Project, folder: Folder) -> LoadedTensors:
    """Load the weights of a folder into a network of the same architecture.

    Raises:
        UnreadableModelError: this architecture is not supported, or a file is damaged.
        StartError: no tensor matches the network.
        CompileError: the network has errors.
    """
    import torch

    architecture = family(folder)
    text = source(project)
    with torch.device("meta"):  # only names and shapes are needed
        model = module(text)
    model_shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    prefix = next(
        (candidate for candidate in architecture.prefixes if any(name.startswith(candidate) for name in folder.shapes)),
        "",
    )
    tensors: dict[str, torch.Tensor] = {}
    used: set[str] = set()
    remarks: list[str] = []
    for target, source_tensor in _tensor_sources(project, model, architecture, folder, prefix):
        name = _name(source_tensor, folder, prefix)
        if name is None or target not in model_shapes:
            continue
        used.add(name)
        tensor = _read(folder, name, source_tensor, model_shapes[target])
        if source_tensor.rows and tensor.shape != folder.shapes[name]:
            remarks.append(f"Only the first {len(tensor):,} of {folder.shapes[name][0]:,} positions were loaded.")
        tensors[target] = tensor.contiguous()
    match = fit(project, model, {name: tuple(value.shape) for name, value in tensors.items()})
    # The batch counters of batch normalization do not affect any output.
    spare = sorted(name for name in folder.shapes if name not in used and not name.endswith(COUNTED))
    if spare:
        more = f" and {len(spare) - _LISTED} more" if len(spare) > _LISTED else ""
        remarks.append(f"Unused tensors: {plain(', '.join(spare[:_LISTED]))}{more}.")
    return LoadedTensors({name: tensors[name] for name in match.names}, match, tuple(dict.fromkeys(remarks)))


def family(folder: Folder) -> Family:
    """Return the family of a folder's configuration.

    Raises:
        UnreadableModelError: the family is not supported.
    """
    kind = str(folder.config.get("model_type", ""))
    if kind not in FAMILIES:
        supported = ", ".join(architecture.title for architecture in FAMILIES.values())
        description = (
            f"of the kind {plain(kind)[:60]!r}" if kind else "of an unknown kind (config.json has no model_type)"
        )
        raise UnreadableModelError(f"This network is {description}; supported are {supported}.")
    return FAMILIES[kind]


def _tensor_sources(
    project: Project, model: nn.Module, architecture: Family, folder: Folder, prefix: str
) -> Iterator[tuple[str, Source]]:
    """Yield the tensors of the network with their source in the folder."""
    by_type: dict[str, list[LayerModule]] = defaultdict(list)
    blocks: list[LayerModule] = []
    for layer_module in places(project, model):
        by_type[layer_module.type].append(layer_module)
        if layer_module.type in BLOCKS:
            blocks.append(layer_module)
    for layer in architecture.layers:
        candidates = by_type[layer.type]
        # Two parallel embedding tables have no order of execution, so their sizes identify them.
        fitting = [
            layer_module for layer_module in candidates if _fits(model, layer_module, layer, folder, prefix)
        ] or candidates
        if -len(fitting) <= layer.index < len(fitting) or len(fitting) == 1:
            path = fitting[layer.index if len(fitting) > 1 else 0].path
            yield from ((f"{path}.{name}", stated_source) for name, stated_source in layer.tensors.items())
    for number, layer_module in enumerate(blocks):
        for part, path_in_block in BLOCKS[layer_module.type].items():
            for name, tensor_source in architecture.block.get(part, {}).items():
                called = Source(
                    tensor_source.name.format(number), tensor_source.transposed, tensor_source.part, tensor_source.parts
                )
                yield f"{layer_module.path}.{path_in_block}.{name}", called
    if architecture.residual:
        yield from residual_names(project, model, folder, prefix)


def _fits(model: nn.Module, layer_module: LayerModule, layer: Layer, folder: Folder, prefix: str) -> bool:
    """Return whether all tensors of a file for a layer have the shapes of the network's."""
    model_shapes = {
        name: tuple(value.shape) for name, value in model.get_submodule(layer_module.path).state_dict().items()
    }
    for name, tensor_source in layer.tensors.items():
        stored_name = _name(tensor_source, folder, prefix)
        if stored_name is not None and not tensor_source.rows and model_shapes.get(name) != folder.shapes[stored_name]:
            return False
    return True


def _name(tensor_source: Source, folder: Folder, prefix: str) -> str | None:
    """Return the name of a tensor in the folder, or None. The prefix does not apply to heads."""
    names = [
        called
        for candidate in (tensor_source.name, tensor_source.otherwise)
        if candidate
        for called in (prefix + candidate, candidate)
    ]
    return next((name for name in names if name in folder.shapes), None)


def _read(folder: Folder, name: str, tensor_source: Source, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor of the folder in the layout of the network, whose tensor has the shape `shape`."""
    tensor = folder.tensor(name)
    if tensor_source.transposed:
        tensor = tensor.T
    if tensor_source.parts > 1 and len(tensor) % tensor_source.parts == 0:
        tensor = tensor.chunk(tensor_source.parts)[tensor_source.part]
    # Position tables of ViT have an axis of length 1 for the batch, (1, T, D).
    if tensor.ndim == len(shape) + 1 and len(tensor) == 1:
        tensor = tensor[0]
    if tensor_source.rows and tensor.ndim == len(shape) and len(tensor) > shape[0]:
        tensor = tensor[: shape[0]]
    return tensor
