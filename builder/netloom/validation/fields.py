"""Assignment of data fields to Inputs."""

from __future__ import annotations

from netloom.data import Schema
from netloom.document import Edit, Project
from netloom.layers import ParameterError, parse
from netloom.layers.io import Input


def field_edits(project: Project, schema: Schema | None) -> list[Edit]:
    """Return edits that assign to each Input of the main network without a field the only field of its kind and shape.

    If no field fits, or several do, there is no edit and the user has to choose.
    """
    edits: list[Edit] = []
    if schema is None:
        return edits
    names = {field.name: field.parameters() for field in schema.inputs}
    for key in project.main_network.order("Input"):
        try:
            layer = parse(project.main_network.nodes[key])
        except ParameterError:
            continue  # validation reports its parameters
        if not isinstance(layer, Input) or layer.field:
            continue
        fits = [
            name
            for name, expected_params in names.items()
            if layer.model_dump(mode="json") | {"field": name} == expected_params
        ]
        if len(fits) == 1:
            edits.append({"kind": "set", "network": project.main, "node": key, "params": {"field": fits[0]}})
            del names[fits[0]]
    return edits


def reading_edits(project: Project, schema: Schema) -> list[Edit]:
    """Return edits that set the shape of each Input of the main network to the current shape of its field."""
    params_by_field = {field.name: field.parameters() for field in schema.inputs}
    edits: list[Edit] = []
    for key, node in project.main_network.nodes.items():
        field = node.params.get("field")
        if node.type != "Input" or not isinstance(field, str) or field not in params_by_field:
            continue
        params = {name: value for name, value in params_by_field[field].items() if node.params.get(name) != value}
        if params:
            edits.append({"kind": "set", "network": project.main, "node": key, "params": params})
    return edits
