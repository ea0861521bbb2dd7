"""Inputs that name no field of the data yet, such as those of an import, and the data that they fit."""

from __future__ import annotations

from builder.data import Schema
from builder.graph import Edit, Project
from builder.layers import ParameterError, parse
from builder.layers.io import Input


def field_edits(project: Project, schema: Schema | None) -> list[Edit]:
    """Edits by which each Input of the main network without a field reads the one that has its kind and shape.

    Where none has, or several have, there is no edit: then people are asked.
    """
    edits: list[Edit] = []
    if schema is None:
        return edits
    names = {field.name: field.parameters() for field in schema.inputs}
    for key, node in project.main_network.nodes.items():
        if node.type != "Input":
            continue
        try:
            layer = parse(node)
        except ParameterError:
            continue  # the check says what is wrong with it
        if not isinstance(layer, Input) or layer.field:
            continue
        fits = [name for name, wanted in names.items() if layer.model_dump(mode="json") | {"field": name} == wanted]
        if len(fits) == 1:
            edits.append({"kind": "set", "network": project.main, "node": key, "params": {"field": fits[0]}})
            del names[fits[0]]
    return edits
