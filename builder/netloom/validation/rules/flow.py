"""The tensors along the edges: their kinds, shapes and scales."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netloom.document import Edge
from netloom.layers import KIND_NAMES, TensorSpec, registry
from netloom.layers.attention.attention import MultiHeadAttention, TransformerEncoderBlock
from netloom.layers.code import Code
from netloom.layers.conversions import conversion
from netloom.layers.dense import Linear
from netloom.layers.io import input_parameters
from netloom.layers.operations.merge import Add, Multiply
from netloom.layers.operations.shape import Permute, Reshape, Transpose
from netloom.layers.subnetwork import Subnetwork
from netloom.tasks import task
from netloom.validation import fixes, output_scales
from netloom.validation.along_axis import state_mismatch
from netloom.validation.context import Context, fits
from netloom.validation.facts import Totals
from netloom.validation.graph_views import reachable
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage
from netloom.validation.token_inputs import token_input


class Kinds(Rule):
    """Every port receives a kind of tensor that it accepts."""

    stage = Stage.FLOW

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for edge in context.network.edges:
            key, spec = edge.target_node, context.spec(edge)
            if key in context.measured or key not in context.layers:
                continue  # what was measured had inputs that fit
            port = next((port for port in context.input_ports(key) if port.name == edge.target_port), None)
            if port is None or spec is None or fits(spec, port.kinds):
                continue
            *others, last = (KIND_NAMES[kind] for kind in port.kinds)
            kinds = f"{', '.join(others)} or {last}" if others else last
            message = (
                f"{context.label(edge.target_node)} expects {kinds}, but receives {spec} from "
                f"{context.label(edge.source_node)}, which is {KIND_NAMES[spec.kind]}."
            )
            bridge = _bridge(spec, port.kinds, context, edge)
            fix = fixes.insert(context.name, context.network, edge, *bridge) if bridge else None
            yield context.issue("port_kind", message, edge.target_node, port=edge.target_port, fix=fix)


def _bridge(
    spec: TensorSpec, kinds: tuple[str, ...], context: Context, edge: Edge
) -> tuple[str, dict[str, Any]] | None:
    """Return the layer that converts a tensor to one of the kinds, with its parameters; None if there is none."""
    if len(spec.shape) == 1:
        return None
    if spec.is_tokens:
        source = token_input(context, edge)
        vocabulary = source.vocabulary if source is not None else None
        return "Embedding", {"vocabulary": vocabulary} if vocabulary else {}
    return conversion(spec, kinds)


class Shapes(Rule):
    """PyTorch can run every layer on its inputs, and no layer mixes the examples of a batch."""

    stage = Stage.FLOW

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, measured in context.measured.items():
            if measured.refusal is None:
                continue
            edges = [context.incoming[key][port.name] for port in context.layers[key].inputs()]
            inputs = " and ".join(str(context.spec(edge)) for edge in edges)
            message = f"{context.label(key)} cannot process {inputs}: {measured.refusal}."
            yield context.issue(measured.code, message, key, fix=_suggest_fix(context, key))


class LinearOnImages(Rule):
    """A Linear layer after images combines features, and not the pixels of a line.

    PyTorch applies it to the last axis, the width of an image (N, C, H, W); a missing Flatten is the usual reason, or
    a missing pooling layer, whichever the templates of the task have.
    Layers that move or split axes before it, as in networks with the channels last, show that it is intended.
    """

    stage = Stage.FLOW

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, layer in context.layers.items():
            edge = context.incoming[key].get("in") if isinstance(layer, Linear) else None
            spec = context.spec(edge) if edge else None
            if edge is None or spec is None or not spec.is_image:
                continue
            before = {context.layers.get(node) for node in reachable([key], context.predecessors) - {key}}
            if any(item is None or isinstance(item, (Permute, Transpose, Reshape, Code)) for item in before):
                continue
            before_it = task(context.project.training.objective).image_to_vector
            yield context.issue(
                "linear_on_image",
                f"{context.label(key)} receives images {spec} and combines only the {spec.size(-1)} values along their "
                f"width. A {registry()[before_it].title} layer before it makes one vector of each image.",
                key,
                port="in",
                severity="warning",
                fix=fixes.insert(context.name, context.network, edge, before_it, {}),
            )


def _suggest_fix(context: Context, key: str) -> Fix | None:
    layer, edges = context.layers[key], context.incoming[key]
    specs = {port: spec for port, edge in edges.items() if (spec := context.spec(edge))}
    if isinstance(layer, (MultiHeadAttention, TransformerEncoderBlock)) and layer.head_width is None:
        dim = specs["in"].size(2)
        # The largest number of heads, up to the chosen one, that divides the width
        heads = next(heads for heads in range(min(layer.heads, dim), 0, -1) if dim % heads == 0)
        if heads != layer.heads:
            return fixes.set_params(context.name, key, {"heads": heads}, f"Set heads to {heads}")
    if isinstance(layer, (Add, Multiply)):
        return _project(context, edges, specs)
    if isinstance(layer, Subnetwork) and layer.is_loop and key in context.inner:
        return _resize_state(layer, context.inner[key])
    return None


def _resize_state(layer: Subnetwork, inner: Context) -> Fix | None:
    """Return a fix that gives a state the shape of its next value; None if the shape comes from outside."""
    mismatch = state_mismatch(layer, inner.step(layer))
    if mismatch is None or layer.initial_value(mismatch[0]) == "input":
        return None
    state, _, after = mismatch
    node = dict(layer.interface.inputs)[state]
    return fixes.set_params(inner.name, node, input_parameters(after), f"Change the shape of {node} to {after}")


def _project(context: Context, edges: dict[str, Edge], specs: dict[str, TensorSpec]) -> Fix | None:
    """Return a fix that projects a branch to the width of the first one, if only their widths differ."""
    first, *other_ports = sorted(specs)
    for port in other_ports:
        reference, other_spec = specs[first], specs[port]
        axis = 1 if other_spec.is_image else -1
        if len(reference.shape) != len(other_spec.shape) or reference.shape == other_spec.shape:
            continue
        other_axes = [i for i in range(len(reference.shape)) if i != axis % len(reference.shape)]
        if any(reference.shape[i] != other_spec.shape[i] for i in other_axes):
            continue
        if other_spec.is_image:
            params = {"filters": reference.size(1), "kernel_size": 1, "padding": 0}
            return fixes.insert(context.name, context.network, edges[port], "Conv2d", params)
        return fixes.insert(context.name, context.network, edges[port], "Linear", {"units": reference.size(-1)})
    return None


class OutputScales(Rule):
    """The values of every output are clearly logits or probabilities.

    See `netloom.validation.output_scales`.
    """

    stage = Stage.FLOW
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        training = context.project.training
        probabilities = task(training.objective).output_probabilities(context.schema, training)
        for output, logit_spec in zip(context.network.ports("Output"), probabilities, strict=False):
            reading = output_scales.reading(context, output, logit_spec) if logit_spec is not None else None
            if reading is None:
                continue
            if reading.doubt:
                layer = context.layers.get(reading.node)
                fix = (
                    fixes.set_params(context.name, reading.node, {"axis": reading.axis}, f"Set axis to {reading.axis}")
                    if reading.axis is not None and layer is not None and "axis" in type(layer).model_fields
                    else None
                )
                yield context.issue("output_scale", f"{reading.doubt}.", reading.node, severity="warning", fix=fix)
            elif isinstance(context.layers.get(reading.node), Code):
                message = (
                    f"{context.label(reading.node)} is Python code, so its output is treated as logits; if it ends "
                    "with a softmax or sigmoid, remove it there and add it as a layer after it."
                )
                yield context.issue("output_scale", message, reading.node, severity="hint")
