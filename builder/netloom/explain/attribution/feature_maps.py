"""What the methods that read the maps of a convolution share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.explain.attribution.layer_method import Layered
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.nodes import InnerNode, acting_nodes, inner_nodes
from netloom.explain.core.requirements import CONVOLVING

if TYPE_CHECKING:
    from netloom.explain.core.activation_hook import Tapped
    from netloom.explain.core.context import Subject


class FeatureMaps(Layered):
    """A method that looks at a node whose output keeps the places of a picture, (N, C, H, W)."""

    def place(self, subject: Subject) -> tuple[InnerNode, Tapped]:
        node, tapped = super().place(subject)
        if tapped.seen is None or tapped.seen.ndim != 4:
            raise ExplainError(f"The output of {node.title} is not a feature map; choose a convolution.")
        return node, tapped

    def usual(self, subject: Subject) -> InnerNode:
        """The last node before the answer that gives maps with more than one place, and sees a picture."""
        from netloom.explain.core.cost import measured

        facts = measured(subject.project).nodes
        every = inner_nodes(subject.project, subject.model)
        for node in reversed(acting_nodes(subject.project, subject.model)[:-1]):
            spec = next(iter(facts[node.key].outputs.values()), None)
            if spec and len(spec.shape) == 4 and spec.shape[2:] != (1, 1) and self.pictures(subject, node):
                return node
        inside = [node for node in every if node.type in CONVOLVING and self.pictures(subject, node)]
        if inside:
            return inside[-1]
        raise ExplainError("This network does not have a layer with feature maps of an image; choose another method.")

    def pictures(self, subject: Subject, node: InnerNode) -> list[str]:
        """The fields of pictures that lead to a node."""
        import networkx as nx

        from netloom.validation.graph_views import digraph

        network = subject.project.main_network
        above = nx.ancestors(digraph(network), node.path.partition(".")[0])
        found = [str(network.nodes[key].params.get("field")) for key in above if network.nodes[key].type == "Input"]
        return [name for name in subject.specs if name in found and subject.specs[name].is_image]
