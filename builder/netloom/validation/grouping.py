"""What an edit that makes a network of a selection cannot know by itself: the shapes that come in."""

from __future__ import annotations

from typing import Any

from netloom.document import Edit
from netloom.layers import TensorSpec
from netloom.validation.analysis import Analysis


def with_shapes(edit: Edit, analysis: Analysis) -> dict[str, Any]:
    """The edit `group` with the parameters of the Inputs that it makes; any other edit as it is."""
    completed = dict(edit)
    name = completed.get("network", analysis.context.name)
    if completed.get("kind") != "group" or not isinstance(name, str) or name not in analysis.networks:
        return completed
    context = analysis.networks[name]
    node_ids = completed.get("nodes", ())
    specs = {edge.source: context.spec(edge) for edge in context.network.edges if edge.target_node in node_ids}
    completed["inputs"] = {source: input_parameters(spec) for source, spec in specs.items() if spec is not None}
    return completed


def input_parameters(spec: TensorSpec) -> dict[str, Any]:
    """The parameters of an Input that gives such a tensor."""
    kind = spec.kind if spec.kind != "any" else "tensor" if spec.dtype == "float" else "indices"
    return {"kind": kind, "shape": [length or 1 for length in spec.shape[1:]] or [1]}
