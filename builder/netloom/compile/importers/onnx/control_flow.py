"""Branches and loops of ONNX files whose conditions and numbers of steps are known.

A loop over the steps of sequences becomes a network that is applied along an axis. Other loops are unrolled: each step
becomes layers of its own, with shared weights. https://onnx.ai/onnx/operators/onnx__Loop.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.loop_body import LoopBody
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.parser import Body, Operator

MAX_STEPS = 1_000


class Evaluator(Protocol):
    """What computes operators, with the values of all tensors by name."""

    values: dict[str, Value]
    builder: GraphBuilder

    def rolled(
        self, operator: Operator, loop: LoopBody, convert: Callable[[], list[Value]], readings: Iterable[str]
    ) -> list[Value] | None:
        """The results of a step that becomes the network of `loop`; None if it cannot be converted on its own."""

    def execute(self, operators: Sequence[Operator]) -> None: ...

    def apply(self, kind: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """The first output of an operator on these inputs."""


Step = Callable[[Operator, Sequence[Value | None], Evaluator], list[Value]]


def _run(body: Body, inputs: Sequence[Value], evaluator: Evaluator) -> list[Value]:
    evaluator.values |= dict(zip(body.inputs, inputs, strict=True))
    evaluator.execute(body.operators)
    return [evaluator.values[key] for key in body.outputs]


def _branch(operator: Operator, inputs: Sequence[Value | None], evaluator: Evaluator) -> list[Value]:
    is_true = _truth(inputs[0], "its condition is computed from the inputs of the network")
    return _run(operator.attributes["then_branch" if is_true else "else_branch"], (), evaluator)


def _loop(operator: Operator, inputs: Sequence[Value | None], evaluator: Evaluator) -> list[Value]:
    computed = "its number of steps is computed from the inputs of the network"
    limit, condition, *carried = inputs
    if isinstance(limit, Tensor):
        raise UnsupportedOperatorError(computed)
    steps = math.inf if limit is None else int(limit.array.reshape(-1)[0])
    _refuse_rows(steps)
    rolled = _rolled_loop(operator, carried, steps, evaluator)
    if rolled is not None:
        return rolled
    is_on = condition is None or _truth(condition, computed)
    body, states = operator.attributes["body"], _all_present(carried)
    collected: list[list[Value]] = [[] for _ in body.outputs[1 + len(states) :]]
    number = 0
    while is_on and number < steps:
        _refuse_long(number + 1)
        true = Constant(np.asarray(True))
        continues, *results = _run(body, [Constant(np.asarray(number)), true, *states], evaluator)
        states, outputs = results[: len(states)], results[len(states) :]
        for values, output in zip(collected, outputs, strict=True):
            values.append(output)
        is_on = _truth(continues, computed)
        number += 1
    return [*states, *(_stacked(values, 0, evaluator) for values in collected)]


def _scan(operator: Operator, inputs: Sequence[Value | None], evaluator: Evaluator) -> list[Value]:
    get, values = operator.attributes.get, _all_present(inputs)
    count, body = int(operator.attributes["num_scan_inputs"]), operator.attributes["body"]
    states, sequences = values[:-count], values[-count:]
    results = len(body.outputs) - len(states)
    backward = get("scan_input_directions") or [0] * count
    axes = [
        normalize_axis(axis, len(value.shape))
        for value, axis in zip(sequences, get("scan_input_axes") or [0] * count, strict=True)
    ]
    steps = sequences[0].shape[axes[0]]
    _refuse_rows(steps)
    directions, to = get("scan_output_directions") or [0] * results, get("scan_output_axes") or [0] * results
    if len({*backward, *directions}) == 1:
        rolled = _rolled_scan(operator, states, list(zip(sequences, axes, strict=True)), to, evaluator)
        if rolled is not None:
            return rolled
    _refuse_long(steps)
    collected: list[list[Value]] = [[] for _ in range(results)]
    for step in range(steps):
        positions = [steps - 1 - step if is_backward else step for is_backward in backward]
        parts = [
            evaluator.apply("Gather", [value, Constant(np.asarray(scan_index))], axis=axis)
            for value, scan_index, axis in zip(sequences, positions, axes, strict=True)
        ]
        outputs = _run(body, [*states, *parts], evaluator)
        states = outputs[: len(states)]
        for values, output in zip(collected, outputs[len(states) :], strict=True):
            values.append(output)
    return [
        *states,
        *(
            _stacked(values[::-1] if is_backward else values, axis, evaluator)
            for values, is_backward, axis in zip(collected, directions, to, strict=True)
        ),
    ]


def _rolled_scan(
    operator: Operator,
    states: Sequence[Value],
    sequences: Sequence[tuple[Value, int]],
    to: Sequence[int],
    evaluator: Evaluator,
) -> list[Value] | None:
    """The outputs of a scan as a network that is applied to each step; None if it cannot be one.

    `sequences` are tensors with the axes of their steps, and `to` is the axis of the steps in each result.
    """
    body: Body = operator.attributes["body"]
    loop = LoopBody(evaluator.builder, is_reversed=bool((operator.attributes.get("scan_input_directions") or [0])[0]))

    def convert() -> list[Value]:
        parts = [loop.sequence(value, axis) for value, axis in sequences]
        outputs = _run(body, [*map(loop.state, states), *parts], evaluator)
        return loop.finish(outputs[: len(states)], outputs[len(states) :], to, operator.name or "scan")

    return evaluator.rolled(operator, loop, convert, body.reads_from_outside)


def _rolled_loop(
    operator: Operator, states: Sequence[Value | None], steps: float, evaluator: Evaluator
) -> list[Value] | None:
    """The outputs of a loop whose counter only selects steps of sequences, as a network that is applied to each step.

    None if it is another loop.
    """
    body: Body = operator.attributes["body"]
    counter, condition = body.inputs[:2]
    selections = {id(item) for item in body.operators if item.type == "Gather" and item.inputs[1] == counter}
    selected = [item for item in body.operators if id(item) in selections]
    others = replace(body, operators=tuple(item for item in body.operators if id(item) not in selections))
    loop = LoopBody(evaluator.builder)

    def convert() -> list[Value]:
        parts = {}
        for item in selected:
            sequence = evaluator.values[item.inputs[0]]
            axis = normalize_axis(item.attributes.get("axis", 0), len(sequence.shape))
            parts[item.outputs[0]] = loop.sequence(sequence, axis)
        if loop.length != steps:
            raise UnsupportedOperatorError("it does not process all steps of its sequences")
        carried = [loop.state(value) for value in _all_present(states)]
        evaluator.values |= {**parts, condition: Constant(np.asarray(True))}
        evaluator.values |= dict(zip(body.inputs[2:], carried, strict=True))
        evaluator.values.pop(counter, None)  # a step that reads it depends on its number
        evaluator.execute(others.operators)
        continues, *outputs = (evaluator.values[key] for key in body.outputs)
        if not _truth(continues, "its number of steps is computed"):
            raise UnsupportedOperatorError("it ends after the first step")
        following, results = outputs[: len(carried)], outputs[len(carried) :]
        return loop.finish(following, results, [0] * len(results), operator.name or "loop")

    inner_values = {condition, counter, *body.inputs, *(item.outputs[0] for item in selected)}
    return evaluator.rolled(
        operator, loop, convert, [key for key in others.reads_from_outside if key not in inner_values]
    )


CONTROL_FLOW: dict[str, Step] = {"If": _branch, "Loop": _loop, "Scan": _scan}


def _stacked(values: Sequence[Value], axis: int, evaluator: Evaluator) -> Value:
    """The values of all steps along a new axis."""
    if not values:
        raise UnsupportedOperatorError("it has no steps")
    at = normalize_axis(axis, len(values[0].shape) + 1)
    parts = [evaluator.apply("Unsqueeze", [value, Constant(np.asarray([at]))], axes=[at]) for value in values]
    return evaluator.apply("Concat", parts, axis=at)


def _truth(value: Value | None, reason: str) -> bool:
    if not isinstance(value, Constant):
        raise UnsupportedOperatorError(reason)
    return bool(value.array.reshape(-1)[0])


def _all_present(values: Sequence[Value | None]) -> list[Value]:
    if any(value is None for value in values):
        raise UnsupportedOperatorError("an initial state is missing")
    return [value for value in values if value is not None]


def _refuse_rows(steps: float) -> None:
    if steps and steps % BATCH == 0:
        raise UnsupportedOperatorError(
            f"its number of steps is the number of rows (or {BATCH:,}, which stands for it here)"
        )


def _refuse_long(steps: int) -> None:
    if steps > MAX_STEPS:
        raise UnsupportedOperatorError(f"it has more than {MAX_STEPS:,} steps")
