"""Which module of a compiled network stands for which node of the drawn one, within nested networks too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.graph import Network, Project
from builder.graph.document import SUBNETWORK
from builder.layers import label
from builder.text import plain

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Place:
    """A node that is a layer: the path of its module, the ids that lead to it from the main network, and its type.

    `title` is what people call it, with those of the networks around it; `name` is the same, short enough for an axis.
    """

    path: str
    nodes: tuple[str, ...]
    type: str
    title: str
    name: str


def places(project: Project, model: nn.Module) -> list[Place]:
    """The layers of a compiled model, in the order in which they act."""
    return list(_walk(project, project.main_network, model, "", (), "", ""))


def _walk(
    project: Project, network: Network, model: nn.Module, path: str, around: tuple[str, ...], title: str, name: str
) -> Iterator[Place]:
    from builder.compile.logits import LeftOut

    for key, part in model.named_children():
        node = network.nodes.get(key)
        if node is None or isinstance(part, LeftOut):  # what is left out does nothing while the network learns
            continue
        ids, here = (*around, key), f"{path}{key}"
        long, short = f"{title}{label(node)}", f"{name}{plain(node.title) or key}"
        inner = project.networks.get(str(node.params.get("network"))) if node.type == SUBNETWORK else None
        if inner is None:
            yield Place(here, ids, node.type, long, short)
            continue
        copies = list(part.named_children()) if type(part).__name__ == "Repeated" else [("", part)]
        for number, (copy, module) in enumerate(copies, 1):
            count = f" {number}" if len(copies) > 1 else ""
            deeper = f"{here}.{copy}." if copy else f"{here}."
            yield from _walk(project, inner, module, deeper, ids, f"{long}{count} › ", f"{short}{count} › ")
