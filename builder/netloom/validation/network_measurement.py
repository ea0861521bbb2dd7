"""The measurement of the layers of a network, in one of its uses."""

from __future__ import annotations

from netloom.layers import Layer, ParameterError, TensorSpec, asks_for_size, parse
from netloom.layers.io import Input, Output
from netloom.layers.subnetwork import Subnetwork, interface
from netloom.validation.along_axis import (
    StepError,
    count_steps,
    learned_shapes,
    misnamed_ports,
    sequence_specs,
    step_specs,
)
from netloom.validation.context import Context, fits
from netloom.validation.measure import Measured
from netloom.validation.subnetwork_measurement import subnetwork_measurement

# The maximum number of combinations of networks, input shapes and parameter values; each one is measured.
MAX_USES = 500
# The maximum nesting depth: networks are measured recursively, on the stack that the page also uses.
MAX_DEPTH = 100


def measure_network(context: Context) -> None:
    """Parse and measure every node of a network, and write the results into its context.

    If Netloom fails for a node, its previous result is used.
    """
    known = _known(context)
    for key in context.network.nodes:
        if key in known:
            context.layers[key] = known[key]
            continue
        try:
            _parse(context, key)
        except Exception as error:
            _recover(context, error, "read", key)
    for key in context.order:
        if key in known and _is_unchanged(context, key):
            context.unchanged.add(key)
            if context.before and key in context.before.measured:
                context.measured[key] = context.before.measured[key]
            continue
        try:
            _measure(context, key)
        except Exception as error:
            _recover(context, error, "measure", key)


def _known(context: Context) -> dict[str, Layer]:
    """Return the layers of the previous context that are the same in this one: those of the same nodes.

    Documents are immutable, so that the same node has not changed. Subnetworks and sizes of inputs depend on more.
    """
    before = context.before
    if before is None or before.values != context.values or before.input_specs or context.input_specs:
        return {}
    nodes, old_nodes = context.network.nodes, before.network.nodes
    return {
        key: layer
        for key, layer in before.layers.items()
        if key in nodes
        and nodes[key] is old_nodes.get(key)
        and key not in before.unstable
        and not isinstance(layer, Subnetwork)
        and not layer.refusal()
    }


def _is_unchanged(context: Context, key: str) -> bool:
    """Return whether a node of `_known` has the same edges as before, and its sources are unchanged."""
    before = context.before
    return (
        before is not None
        and context.incoming[key] == before.incoming.get(key)
        and context.unchanged.issuperset(context.predecessors[key])
    )


def _recover(context: Context, error: Exception, doing: str, key: str) -> None:
    context.record_fault(error, f"{doing} {context.label(key)}", key)
    context.unstable.add(key)
    before = context.before
    if before is None or key not in before.layers or before.network.nodes[key].type != context.network.nodes[key].type:
        return
    context.layers.setdefault(key, before.layers[key])
    if key in before.measured and before.measured[key].refusal is None:
        context.measured[key] = before.measured[key]


def _parse(context: Context, key: str, specs: dict[str, TensorSpec] | None = None) -> None:
    node = context.network.nodes[key]
    first = next(iter(specs.values()), None) if specs else None
    try:
        # Parameters may be expressions of the sizes of the first input.
        layer = parse(node, context.values, first.size if first else None)
    except ParameterError as error:
        context.parameter_errors[key] = error.errors
        context.layers.pop(key, None)
        return
    if isinstance(layer, Subnetwork) and layer.network in context.project.networks:
        layer = layer.with_interface(interface(context.project.networks[layer.network]))
    context.layers[key] = layer


def _measure(context: Context, key: str) -> None:
    layer = context.layers.get(key)
    if layer is None:
        return
    if isinstance(layer, Input):
        context.measured[key] = Measured({"out": context.input_specs.get(key, layer.spec())})
        return
    specs = _arriving(context, key, layer)
    if specs is not None and asks_for_size(context.network.nodes[key]):
        context.unstable.add(key)
        _parse(context, key, specs)
        layer = context.layers.get(key)
        # Other parameters may have changed the ports of the layer.
        specs = _arriving(context, key, layer) if layer else None
    if specs is None:
        return
    if isinstance(layer, Subnetwork):
        context.measured[key] = _measure_inside(context, key, layer, specs)
    elif isinstance(layer, Output):
        context.measured[key] = Measured()
    elif layer is not None:
        context.measured[key] = context.cache.measure(layer, tuple(specs.items()))


def _arriving(context: Context, key: str, layer: Layer) -> dict[str, TensorSpec] | None:
    """Return the tensors at the input ports of a layer; None if one is missing or has the wrong kind."""
    specs, ports = context.specs(key), layer.inputs()
    if any(port.name not in specs or not fits(specs[port.name], port.kinds) for port in ports):
        return None
    return {port.name: specs[port.name] for port in ports}


def _measure_inside(context: Context, key: str, layer: Subnetwork, specs: dict[str, TensorSpec]) -> Measured:
    """Return the measurement of the network of a subnetwork node."""
    if layer.network not in context.project.networks or layer.network in (
        *context.ancestors,
        context.name,
    ):
        return Measured()  # see netloom.validation.rules.networks
    if len(context.ancestors) >= MAX_DEPTH:
        return Measured(refusal=f"networks are nested more than {MAX_DEPTH} levels deep", code="depth")
    steps = 1
    if layer.is_loop:
        if any(misnamed_ports(layer)):
            return Measured()  # see netloom.validation.rules.networks
        try:
            steps, specs = count_steps(layer, specs), step_specs(layer, specs)
        except StepError as error:
            return Measured(refusal=str(error), code="along_axis")
    inputs = {node: specs[port] for port, node in layer.interface.inputs if port in specs}
    inner = context.cache.use(layer.network, layer.values, inputs, (*context.ancestors, context.name))
    if inner is None:
        return Measured(
            refusal=f"the networks of this project are used with more than {MAX_USES} different shapes and values"
        )
    context.inner[key] = inner
    try:
        outputs = _outputs_of(layer, inner, steps)
    except StepError as error:
        return Measured(refusal=str(error), code="along_axis")
    if len(outputs) < len(layer.outputs()):
        return Measured()  # the issues of that network say why
    learned = learned_shapes(layer, inner.step(layer))
    return subnetwork_measurement(layer, specs, outputs, inner.totals, learned, steps, use=id(inner))


def _outputs_of(layer: Subnetwork, inner: Context, steps: int) -> dict[str, TensorSpec]:
    """Return the tensors at the output ports of a subnetwork node, without unknown ones."""
    if layer.is_loop:
        return sequence_specs(layer, inner.step(layer), steps)
    return dict(inner.step(layer).outputs)
