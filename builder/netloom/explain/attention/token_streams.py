"""The sequences that attention layers connect: their tokens, their fields, and the effect of removing each position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.compile import input_nodes
from netloom.explain.core.explanation import Stream
from netloom.explain.core.parts.axes import Axes, axes_of
from netloom.explain.core.requirements import every_node
from netloom.layers import layer_class, module_layer

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import ExplanationContext

# Ports of the keys and values; all other ports lead to the queries.
MEMORY_PORTS = ("memory", "k", "v")


@dataclass
class StreamIndex:
    """All sequences of a network, and the query and key sequence of each attention layer by path.

    `crossing` lists layers that attend from one sequence to another of the same field, or of unknown field, so that
    their positions cannot be distinguished.
    """

    streams: list[Stream] = field(default_factory=list)
    sides: dict[str, tuple[int, int]] = field(default_factory=dict)
    crossing: list[str] = field(default_factory=list)

    def index_of(self, stream: Stream) -> int:
        """Return the index of a sequence, and add it if it is new."""
        if stream not in self.streams:
            self.streams.append(stream)
        return self.streams.index(stream)

    def starts(self) -> list[int]:
        """Return the start of each sequence in their concatenation, followed by the total length."""
        return [0, *np.cumsum([len(stream.tokens) for stream in self.streams]).tolist()]


def find_streams(context: ExplanationContext, weights: Mapping[str, torch.Tensor]) -> StreamIndex:
    """Identify the sequences behind attention maps (1, heads, T, S) by layer path."""
    index = StreamIndex()
    for path, values in weights.items():
        name = path.partition(" ")[0]
        module, key = context.model.get_submodule(name), name.partition(".")[0]
        query_count, key_count = values.shape[-2:]
        is_self_attention = bool(getattr(module, "within", True)) and query_count == key_count
        if module_layer(module).attention_queries == "summary":
            key_stream = index.index_of(_field_stream(context, _fields_of_length(context, key, key_count), key_count))
            index.sides[path] = index.index_of(Stream("", ("the summary",) * query_count)), key_stream
        elif is_self_attention:
            stream = _window_stream(context, module, query_count) or _field_stream(
                context, _fields_of_length(context, key, query_count), query_count
            )
            index.sides[path] = (index.index_of(stream),) * 2
        else:
            memory = _source_fields(context, key, MEMORY_PORTS)
            columns = [
                name for name in memory or _source_fields(context, key) if _step_count(context, name) == key_count
            ]
            rows = _fields_of_length(context, key, query_count)
            # If both sequences have the same length, the field at the memory ports is not that of the queries.
            rows = [name for name in rows if name not in memory] if len(rows) > 1 and memory else rows
            sides = _field_stream(context, rows, query_count), _field_stream(context, columns, key_count)
            index.sides[path] = index.index_of(sides[0]), index.index_of(sides[1])
            if sides[0].field == sides[1].field or not sides[1].field:
                index.crossing.append(path)
    return index


def _fields_of_length(context: ExplanationContext, key: str, count: int) -> list[str]:
    return [name for name in _source_fields(context, key) if _step_count(context, name) == count]


def _source_fields(context: ExplanationContext, key: str, ports: tuple[str, ...] = ()) -> list[str]:
    """Return the fields that lead to a node, or to some of its ports."""
    import networkx as nx

    from netloom.validation.graph_views import digraph

    network = context.project.main_network
    graph = digraph(network)
    edges = [edge for edge in network.edges if edge.target_node == key and (not ports or edge.target_port in ports)]
    sources = {edge.source_node for edge in edges}
    ancestors = sources.union(*(nx.ancestors(graph, source) for source in sources))
    names = [str(network.nodes[node].params.get("field")) for node in input_nodes(context.project) if node in ancestors]
    return [name for name in dict.fromkeys(names) if name in context.specs]


def _step_count(context: ExplanationContext, name: str) -> int:
    spec = context.specs[name]
    return spec.shape[0] if (spec.is_tokens or spec.is_sequence) else 0


def _field_stream(context: ExplanationContext, fields: list[str], count: int) -> Stream:
    """Return the positions of a field if exactly one field has this length, otherwise numbered positions."""
    if len(fields) != 1:
        return _patch_stream(context, count) or Stream("", Axes().steps(count))
    (name,) = fields
    field = context.data.field(name)
    if field.vocabulary:
        # The words of the example, because those that training did not have are one token of the vocabulary.
        return Stream(
            name, tuple(context.labels.get(name) or (field.vocabulary[int(token)] for token in context.inputs[name][0]))
        )
    return Stream(name, axes_of(context.data).get(name, Axes()).steps(count))


def _patch_stream(context: ExplanationContext, count: int) -> Stream | None:
    """Return the patches of an image if there is one image and one patch embedding."""
    pictures = [name for name, spec in context.specs.items() if spec.is_image]
    cuts = [node for node in every_node(context.project) if layer_class(node.type).divides_into_patches]
    if len(context.specs) != 1 or not pictures or len(cuts) != 1:
        return None
    patch = cuts[0].params.get("patch", layer_class(cuts[0].type).model_fields["patch"].default)
    if not isinstance(patch, int):
        return None
    down, across = (side // patch for side in context.specs[pictures[0]].shape[1:])
    return _grid_stream(pictures[0], down, across, count - down * across)


def _window_stream(context: ExplanationContext, module: torch.nn.Module, count: int) -> Stream | None:
    """Return the positions of window attention if they divide the image evenly."""
    pictures = [name for name, spec in context.specs.items() if spec.is_image]
    if module_layer(module).attention_queries != "pixels" or len(pictures) != 1 or len(context.specs) != 1:
        return None
    height, width = context.specs[pictures[0]].shape[1:]
    # The downsampling factor of the image, assuming that it is the same for height and width.
    shrunk = round((height * width / count) ** 0.5)
    if height % shrunk or width % shrunk or height * width != count * shrunk**2:
        return None
    return _grid_stream(pictures[0], height // shrunk, width // shrunk, 0)


def _grid_stream(name: str, down: int, across: int, special: int) -> Stream | None:
    """Return the cells of a grid, labeled by row and column, after at most four special tokens."""
    if not 0 <= special <= 4:
        return None
    first = ("⟨class⟩",) if special == 1 else tuple(f"⟨{index + 1}⟩" for index in range(special))
    positions = tuple(f"{row + 1}·{column + 1}" for row in range(down) for column in range(across))
    return Stream(name, (*first, *positions), (down, across), special)


def distribute_to_values(context: ExplanationContext, stream: Stream, steps: np.ndarray) -> np.ndarray:
    """Distribute the value of each position, (T,), evenly over the input values that it covers, in the field's
    shape."""
    shape = context.specs[stream.field].shape
    if stream.grid:
        down, across = stream.grid
        sides = shape[1] // down, shape[2] // across
        grid = steps[stream.special :].reshape(down, across).repeat(sides[0], axis=0).repeat(sides[1], axis=1)
        # Broadcast arrays are read-only.
        return np.broadcast_to(grid / (shape[0] * sides[0] * sides[1]), shape).copy()
    return steps if len(shape) == 1 else np.repeat(steps[:, None] / shape[1], shape[1], axis=1)


def with_effects(context: ExplanationContext, index: StreamIndex) -> list[Stream]:
    """Add the effect of removing each position, F(x) − F(x without it), to each sequence."""
    return [replace(stream, effects=_effects(context, stream)) if stream.field else stream for stream in index.streams]


def _effects(context: ExplanationContext, stream: Stream) -> tuple[float | None, ...]:
    import torch

    value, baseline = context.inputs[stream.field], context.baseline[stream.field]
    steps = _step_of_each_value(context, stream)
    step_numbers = np.unique(steps[steps >= 0])
    if not len(step_numbers):
        return ()
    masks = torch.from_numpy(np.stack([steps == number for number in step_numbers]))
    rows = torch.where(masks, baseline, value)
    inputs = {name: field.expand(len(rows), *field.shape[1:]) for name, field in context.inputs.items()}
    context.expect_rows(len(rows) + 1)
    scores = context.score({**inputs, stream.field: rows})
    effects = (context.score(context.inputs) - scores).double().tolist()
    effect_by_step = dict(zip(step_numbers.tolist(), effects, strict=True))
    return tuple(effect_by_step.get(step) for step in range(len(stream.tokens)))


def _step_of_each_value(context: ExplanationContext, stream: Stream) -> np.ndarray:
    """Return the position of each value in the field's shape; -1 for padding."""
    shape = context.specs[stream.field].shape
    if stream.grid:
        down, across = stream.grid
        numbers = np.arange(down * across).reshape(down, across) + stream.special
        grid = numbers.repeat(shape[1] // down, axis=0).repeat(shape[2] // across, axis=1)
        return np.broadcast_to(grid, shape)
    steps = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return np.where(context.feature_mask(stream.field) >= 0, steps, -1)
