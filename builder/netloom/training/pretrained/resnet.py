"""The convolutions of a residual network in a document, matched with those of ResNet files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netloom.document import Network, Project
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.pretrained.families import Source
from netloom.training.pretrained.folder import Folder

if TYPE_CHECKING:
    from torch import nn

STEM = "embedder.embedder"
_NORM = ("weight", "bias", "running_mean", "running_var")
_LAYER = re.compile(r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)\.convolution\.weight")


def residual_names(project: Project, model: nn.Module, folder: Folder, prefix: str) -> Iterator[tuple[str, Source]]:
    """Return each convolution and the normalization after it, block by block in the order of execution.

    In a block, the convolution on the shortcut is the one whose normalization is added to the output of the others.
    """
    layers = _files(folder, prefix)
    for name, (convolution, norm) in zip(layers, _drawn(project, model), strict=False):
        yield f"{convolution}.weight", Source(f"{name}.convolution.weight")
        for part in _NORM:
            yield f"{norm}.{part}", Source(f"{name}.normalization.{part}")


def _files(folder: Folder, prefix: str) -> list[str]:
    """Return the layers of the file in the order of execution, the shortcut of a block last."""
    layers = []
    for name in folder.shapes:
        match = _LAYER.fullmatch(name.removeprefix(prefix))
        if match:
            stage, layer, position = match.groups()
            short_name = name.removeprefix(prefix).removesuffix(".convolution.weight")
            # 1,000 sorts the shortcut, which has no number, after the other layers of its block.
            layers.append((int(stage), int(layer), int(position) if position else 1_000, short_name))
    return [STEM, *(layer_name for *_, layer_name in sorted(layers))]


def _drawn(project: Project, model: nn.Module) -> Iterator[tuple[str, str]]:
    """Return the paths of convolutions and their normalizations, block by block, the shortcut of a block last."""
    blocks: dict[str, list[LayerModule]] = defaultdict(list)
    for layer in places(project, model):
        if layer.type == "Conv2d":
            blocks[layer.path.rpartition(".")[0]].append(layer)
    for around, convolutions in blocks.items():
        # `sorted` is stable: convolutions on the main path keep their order, and the shortcut follows them.
        for layer in sorted(convolutions, key=lambda convolution: _on_shortcut(project, convolution)):
            norm = _behind(project, layer)
            if norm:
                yield layer.path, f"{around}.{norm}" if around else norm


def _on_shortcut(project: Project, layer: LayerModule) -> bool:
    """Return whether a convolution reads the input of its block and is added after its normalization."""
    network = _network(project, layer)
    key = layer.nodes[-1]
    reads = [edge.source for edge in network.edges if edge.target.partition(".")[0] == key]
    norm = _behind(project, layer)
    consumers = [edge.target.partition(".")[0] for edge in network.edges if edge.source.partition(".")[0] == norm]
    return any(network.nodes[source.partition(".")[0]].type == "Input" for source in reads) and any(
        network.nodes[source].type == "Add" for source in consumers
    )


def _behind(project: Project, layer: LayerModule) -> str:
    """Return the normalization after a convolution, or ""."""
    network = _network(project, layer)
    targets = [e.target.partition(".")[0] for e in network.edges if e.source.partition(".")[0] == layer.nodes[-1]]
    return next((key for key in targets if network.nodes[key].type == "BatchNorm2d"), "")


def _network(project: Project, layer: LayerModule) -> Network:
    network = project.main_network
    for key in layer.nodes[:-1]:
        network = project.networks[str(network.nodes[key].params["network"])]
    return network
