"""The Inputs and Outputs of an imported network. A file can have the batch at any axis; the ports have it first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError


def add_input(
    builder: GraphBuilder, title: str, params: Mapping[str, Any], rank: int, batch: int, named: str, source: str
) -> Tensor:
    """Add an Input for a tensor with `rank` axes in the file, of which `batch` is that of the batch.

    `named` is its name and `source` the kind of file in messages, such as "program".

    Raises:
        UnreadableModelError: An Input cannot have these parameters.
    """
    try:
        key = builder.add_node("Input", None, title, **params)
    except UnsupportedOperatorError as error:
        raise UnreadableModelError(f"The input {named} cannot be imported: {error}.") from None
    tensor = builder.output(key)
    if not batch:
        return tensor
    builder.remark(f"The batch is axis {batch + 1} of the input {named} in the {source} and axis 1 here.")
    # The port has the batch first; the axes of the file keep their order.
    axes = [(axis,) for axis in range(1, rank)]
    axes.insert(batch, (0,))
    return replace(tensor, axes=tuple(axes))


def add_output(builder: GraphBuilder, value: Tensor, name: str, named: str, source: str) -> str:
    """Add an Output with a name for a tensor; returns the id of the node.

    `named` is its name and `source` the kind of file in messages, such as "program".

    Raises:
        UnreadableModelError: The tensor does not have a batch.
    """
    try:
        if value.axes[value.batch] == (0,) and value.batch != 0:
            builder.remark(
                f"The output {named} has the batch as axis {value.batch + 1} in the {source} and as axis 1 here."
            )
            value = replace(value, axes=((0,), *(group for group in value.axes if group != (0,))))
        return builder.add_node("Output", builder.to_batch_first(value), "output", name=name)
    except UnsupportedOperatorError as error:
        raise UnreadableModelError(f"The output {named} cannot be imported: {error}.") from None
