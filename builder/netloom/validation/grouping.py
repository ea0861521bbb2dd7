"""Input shapes for the edit that groups a selection into a network, which the document alone does not contain."""

from __future__ import annotations

from netloom.core.plain_json import JsonObject
from netloom.document import Edit
from netloom.layers.io import input_parameters
from netloom.validation.analysis import Analysis


def with_shapes(edit: Edit, analysis: Analysis) -> JsonObject:
    """Return a `group` edit with parameters for the Inputs that it creates; any other edit is returned unchanged."""
    completed = dict(edit)
    name = completed.get("network", analysis.context.name)
    if completed.get("kind") != "group" or not isinstance(name, str) or name not in analysis.networks:
        return completed
    context = analysis.networks[name]
    node_ids = completed.get("nodes", ())
    specs = {edge.source: context.spec(edge) for edge in context.network.edges if edge.target_node in node_ids}
    completed["inputs"] = {source: input_parameters(spec) for source, spec in specs.items() if spec is not None}
    return completed
