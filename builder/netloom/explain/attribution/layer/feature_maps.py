"""The base class of methods that use the feature maps of a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer.layer_method import LayerExplainer
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.network.nodes import InnerNode, inner_nodes, top_level_nodes
from netloom.layers import layer_class

if TYPE_CHECKING:
    from netloom.explain.core.activation_hook import HookedLayer
    from netloom.explain.core.context import ExplanationContext


class FeatureMaps(LayerExplainer):
    """A method that explains a node whose output is a feature map (N, C, H, W)."""

    def hook(self, context: ExplanationContext) -> tuple[InnerNode, HookedLayer]:
        """Return the node and its hook.

        Raises:
            ExplainError: The output of the node is not a feature map (N, C, H, W).
        """
        node, hooked = super().hook(context)
        if hooked.activation is None or hooked.activation.ndim != 4:
            raise ExplainError(f"The output of {node.title} is not a feature map; choose a convolution.")
        return node, hooked

    def default_node(self, context: ExplanationContext) -> InnerNode:
        """Return the last node before the output with a feature map of an image that is larger than 1 × 1.

        Raises:
            ExplainError: There is no such node.
        """
        from netloom.explain.core.network.cost import measure_network

        measured = measure_network(context.project).nodes
        nodes = inner_nodes(context.project, context.model)
        for node in reversed(top_level_nodes(context.project, context.model)[:-1]):
            spec = next(iter(measured[node.key].outputs.values()), None)
            if spec and len(spec.shape) == 4 and spec.shape[2:] != (1, 1) and self.image_fields(context, node):
                return node
        convolutions = [
            node for node in nodes if layer_class(node.type).makes_feature_maps and self.image_fields(context, node)
        ]
        if convolutions:
            return convolutions[-1]
        raise ExplainError("This network does not have a layer with feature maps of an image; choose another method.")

    def image_fields(self, context: ExplanationContext, node: InnerNode) -> list[str]:
        """Return the image fields that lead to a node."""
        import networkx as nx

        from netloom.validation.graph_views import digraph

        network = context.project.main_network
        ancestors = nx.ancestors(digraph(network), node.path.partition(".")[0])
        fields = [
            str(network.nodes[key].params.get("field")) for key in ancestors if network.nodes[key].type == "Input"
        ]
        return [name for name in context.specs if name in fields and context.specs[name].is_image]
