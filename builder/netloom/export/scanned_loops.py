"""Networks that are applied once for each step along an axis, as one operator with any number of steps.

`torch.export` writes the loop of the generated code step by step. With a scan instead, ONNX has one Scan operator,
whose body is the network of a step. https://onnx.ai/onnx/operators/onnx__Scan.html
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING

from netloom.compile.loop_class import CELL
from netloom.compile.network_classes import loop_classes
from netloom.core.torch_internals import scan
from netloom.validation import analyze

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.compile.loop_class import LoopClass
    from netloom.export.format import Trained


def with_scans(trained: Trained) -> nn.Module | None:
    """Return a copy of the network whose loops are scans; None if it has no loop with a state."""
    loops = {name: loop for name, loop in loop_classes(analyze(trained.project)).items() if loop.states}
    if not loops:
        return None
    model = copy.deepcopy(trained.model)
    for module in model.modules():
        loop = loops.get(type(module).__name__)
        if loop is not None:
            module.forward = partial(_scanned, module, loop)
    return model


def _scanned(module: nn.Module, loop: LoopClass, *arguments: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """The forward pass of a loop class: the stacked results of all steps, and the last states."""
    stored = {state.name for state in loop.stored_states}
    values = dict(zip([name for name in loop.inputs if name not in stored], arguments, strict=True))
    rows = values[loop.sliced[0]].shape[0]
    for state in loop.stored_states:
        initial = getattr(module, state.buffer)
        values[state.name] = initial.expand(rows, *initial.shape)

    def step(states: list[torch.Tensor], parts: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        carried = zip((state.name for state in loop.states), states, strict=True)
        received = values | dict(carried) | dict(zip(loop.sliced, parts, strict=True))
        results = getattr(module, CELL)(*(received[name] for name in loop.inputs))
        by_name = dict(zip(loop.outputs, results if isinstance(results, tuple) else (results,), strict=True))
        # Copies, because no result of a scan may be a view of another
        return [by_name[state.following].clone() for state in loop.states], [
            by_name[name].clone() for name in loop.outputs
        ]

    last, stacked = scan(
        step,
        [values[state.name].clone() for state in loop.states],
        [values[name].movedim(loop.axis, 0) for name in loop.sliced],
        is_reversed=loop.is_reversed,
    )
    results = (*(steps.movedim(0, loop.axis) for steps in stacked), *last)
    return results if len(results) > 1 else results[0]
