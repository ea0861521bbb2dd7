"""Networks that are applied once for each step along an axis: the tensors of one step and of all steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from netloom.layers import TensorSpec
from netloom.layers.subnetwork import Subnetwork


@dataclass(frozen=True)
class Step:
    """The tensors of a single step: those of the states and those of the outputs, by the ports of the network.

    Unknown tensors are missing.
    """

    states: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


class StepError(ValueError):
    """The network cannot be applied along the axis; the message continues "Cell cannot process (N, 8): "."""


def count_steps(layer: Subnetwork, specs: Mapping[str, TensorSpec]) -> int:
    """Return the length of the axis of the steps in the tensors at the ports of a node.

    Raises:
        StepError: No input has steps, or the inputs do not have the same number of steps.
    """
    if not layer.sliced:
        raise StepError(
            "all inputs of its network are states or constant, so none has steps; let one receive one step at a time"
        )
    for port in layer.sliced:
        if len(specs[port].shape) <= layer.axis:
            raise StepError(
                f"{_named(port)} {specs[port]} has no axis {layer.axis}; choose another axis for the steps, or keep "
                "this input constant"
            )
    lengths = {port: specs[port].size(layer.axis) for port in layer.sliced}
    if len(set(lengths.values())) > 1:
        each = " and ".join(f"{_named(port)} has {length:,}" for port, length in lengths.items())
        raise StepError(f"its inputs differ in their numbers of steps: {each}")
    return next(iter(lengths.values()))


def step_specs(layer: Subnetwork, specs: Mapping[str, TensorSpec]) -> dict[str, TensorSpec]:
    """Return the tensors that a single step receives by port, without states whose initial value has no port."""
    return {port: _without(spec, layer.axis) if port in layer.sliced else spec for port, spec in specs.items()}


def sequence_specs(layer: Subnetwork, step: Step, steps: int) -> dict[str, TensorSpec]:
    """Return the outputs of a node by port, incomplete if some tensors of a step are unknown.

    Raises:
        StepError: A state and its next value differ in shape or dtype, or the results have too few axes to be stacked.
    """
    if len(step.states) < len(layer.states):
        return {}  # the issues of the Input that receives the state say why
    mismatch = state_mismatch(layer, step)
    if mismatch is not None:
        state, before, after = mismatch
        node = dict(layer.interface.inputs)[state]
        raise StepError(
            f"the state {node} has the shape {before.beside(after)}, but its next value, the output "
            f"{layer.inner_output(layer.states[state])}, has the shape {after.beside(before)}"
        )
    for port, spec in step.outputs.items():
        if len(spec.shape) < layer.axis:
            raise StepError(
                f"the output {layer.inner_output(port)} of a step is {spec}, which has too few axes to stack steps "
                f"along axis {layer.axis}"
            )
    stacked = {
        port: replace(spec, shape=(*spec.shape[: layer.axis], steps, *spec.shape[layer.axis :]))
        for port, spec in step.outputs.items()
    }
    return {**stacked, **{port: step.states[state] for port, state in layer.final_states.items()}}


def state_mismatch(layer: Subnetwork, step: Step) -> tuple[str, TensorSpec, TensorSpec] | None:
    """Return the first state whose next value has another shape or dtype, with both tensors; None if all agree."""
    for state, before in step.states.items():
        after = step.outputs.get(layer.states[state])
        if after is not None and before != after:
            return state, before, after
    return None


def learned_shapes(layer: Subnetwork, step: Step) -> dict[str, tuple[int, ...]]:
    """Return the shape of each learned initial value, by the Input that receives it."""
    nodes = dict(layer.interface.inputs)
    learned = (state for state in step.states if layer.initial_value(state) == "learned")
    return {nodes[state]: example_shape(step.states[state]) for state in learned}


def example_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Return a shape without the batch axis."""
    return tuple(length or 1 for length in spec.shape[1:])


def misnamed_ports(layer: Subnetwork) -> Iterator[str]:
    """Yield each port in the settings that the network lacks or that has two roles, as a sentence without its end."""
    inputs, outputs = dict(layer.interface.inputs), dict(layer.interface.outputs)
    for state, output in layer.states.items():
        if state not in inputs:
            yield f"{state!r} is set as a state, but its network has no such input; {_list('inputs', inputs)}"
        elif output not in outputs:
            yield (
                f"its network has no output {output!r} for the next value of the state {inputs[state]}; "
                f"{_list('outputs', outputs)}"
            )
    for name in layer.initial:
        if name not in layer.states:
            yield f"{name!r} has an initial value, but is not a state"
    for name in layer.constant:
        if name not in inputs:
            yield f"{name!r} is set as constant, but its network has no such input; {_list('inputs', inputs)}"
        elif name in layer.states:
            yield f"{inputs[name]} is set both as a state and as constant"


def with_known_ports(layer: Subnetwork) -> dict[str, object]:
    """Return the settings of the ports without those that `misnamed_ports` lists."""
    inputs, outputs = dict(layer.interface.inputs), dict(layer.interface.outputs)
    states = {state: output for state, output in layer.states.items() if state in inputs and output in outputs}
    return {
        "states": states,
        "initial": {name: value for name, value in layer.initial.items() if name in states},
        "constant": [name for name in layer.constant if name in inputs and name not in states],
    }


def _list(kind: str, ports: Mapping[str, str]) -> str:
    return f"its {kind} are {', '.join(ports)}" if ports else f"it has no {kind}"


def _named(port: str) -> str:
    return f"the input {port}"


def _without(spec: TensorSpec, axis: int) -> TensorSpec:
    return replace(spec, shape=(*spec.shape[:axis], *spec.shape[axis + 1 :]))
