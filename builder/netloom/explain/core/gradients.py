"""Whether gradients can reach the inputs of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.layers import layer_class
from netloom.layers.io import reads_tokens

if TYPE_CHECKING:
    from torch import nn

    from netloom.document import Project


def unavailable_reason(project: Project, model: nn.Module) -> str:
    """Return why gradients cannot reach the inputs; token ids are integers, so an embedding must read them."""
    from netloom.explain.core.context import consumers, embedding_nodes, node_label

    network = project.main_network
    for key, node in network.nodes.items():
        if node.type != "Input" or not reads_tokens(node.params):
            continue
        field = str(node.params.get("field", ""))
        readers = [(reader, layer_class(network.nodes[reader].type)) for reader in consumers(project, field)]
        blocking = [reader for reader, layer in readers if not (layer.is_embedding or layer.reads_only_padding)]
        if blocking:
            return (
                f"{node_label(project, blocking[0])} reads the tokens of {node_label(project, key)} without an "
                "Embedding, which gradients need; use Occlusion."
            )
        if not embedding_nodes(project, field):
            return (
                f"The tokens of {node_label(project, key)} do not reach the output; connect them through an Embedding."
            )
    return ""
