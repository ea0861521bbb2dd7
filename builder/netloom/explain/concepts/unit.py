"""The units of a network: how many each node has, and the values of one for inputs and for training rows."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from netloom.data.boxes import SIDES
from netloom.explain.core.errors import ExplainError
from netloom.tasks import task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.explain.core.request import Progress, Trained
    from netloom.explain.robustness.continuous_inputs import InputSpace

# The number of training rows that are sampled
ROWS = 2_048
BATCH_SIZE = 128


def unit_counts(trained: Trained) -> dict[str, int]:
    """Return the number of units of each inner node by path; the key "" is the output.

    Units are the channels of feature maps (N, C, H, W) and the last dimension otherwise. Nodes with integer outputs are
    omitted.
    """
    import torch

    from netloom.explain.core.network.nodes import inner_nodes, output_port

    model, counts = deepcopy(_logit_model(trained)).eval(), dict[str, int]()
    nodes = {node.path: output_port(trained.project, node) for node in inner_nodes(trained.project, trained.model)}

    def record_units(path: str, port_number: int) -> Callable[..., None]:
        def record(_: Any, __: Any, output: Any) -> None:
            value = output[port_number] if isinstance(output, tuple) else output
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 1:
                counts[path] = value.shape[_unit_axis(value)]

        return record

    for path, port_number in nodes.items():
        model.get_submodule(path).register_forward_hook(record_units(path, port_number))
    with torch.no_grad():
        answer = model(*[trained.data.inputs[name][:1] for name in _arguments(trained)])
    answer = answer[0] if isinstance(answer, tuple) else answer
    return {
        "": answer.shape[_unit_axis(answer)] if answer.ndim > 1 else 1,
        **{path: counts[path] for path in nodes if path in counts},
    }


class Unit:
    """One unit of the node at `path`, or of the output if `path` is empty, on a private copy of the network."""

    def __init__(self, trained: Trained, path: str, number: int) -> None:
        from netloom.explain.core.network.nodes import find_node, output_port
        from netloom.explain.robustness.continuous_inputs import InputSpace

        self.trained, self.path, self.number = trained, path, number
        self.space: InputSpace = InputSpace(trained.project, trained.data)
        self.model = deepcopy(_logit_model(trained)).to("cpu").float().eval().requires_grad_(False)
        self.title, self.port, self.captured = "the output", 0, None
        # A regression output is reported in the units of the data.
        self.in_target_units = not path and task(trained.project.training.objective).in_target_units
        if path:
            node = find_node(trained.project, trained.model, path)
            self.title, self.port = node.title, output_port(trained.project, node)
            self.model.get_submodule(path).register_forward_hook(self._capture)
        counts = unit_counts(trained)
        if path not in counts:
            raise ExplainError(f"The output of {self.title} consists of integers, which cannot be optimized.")
        self.count = counts[path]
        if not 0 <= number < self.count:
            raise ExplainError(f"There is no unit {number} in {self.title}; it has units 0 to {self.count - 1}.")

    def score(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Compute the value of the unit (N,) for a batch of inputs by field."""
        output = self.model(*[inputs[name] for name in self.space.arguments])
        output = output[0] if isinstance(output, tuple) else output
        value = self.captured if self.path else output
        if value is None:
            raise ExplainError(f"{self.title} does not run for this input.")
        value = value if value.ndim > 1 else value.unsqueeze(1)
        value = self.trained.data.restore(value) if self.in_target_units else value
        unit_values: torch.Tensor = value.select(_unit_axis(value), self.number)
        return unit_values.flatten(1).mean(1) if unit_values.ndim > 1 else unit_values

    def name(self) -> str:
        """Return the unit in words, such as the class of an output."""
        target = self.trained.data.schema.target
        if not self.path and target.type.is_one_of and self.count == len(target.classes):
            valued = task(self.trained.project.training.objective).action_values
            return f"the {'value' if valued else 'score (logit)'} of {target.classes[self.number]}"
        if not self.path and target.type.is_per_pixel and self.count == len(target.classes):
            return f"the mean score (logit) of {target.classes[self.number]}"
        if not self.path and target.type.is_boxes and self.count == len(target.classes) + len(SIDES):
            scores = [f"the mean score (logit) of {name}" for name in target.classes]
            return [*scores, *(f"the mean distance to the {side} side of the box" for side in SIDES)][self.number]
        if self.in_target_units:
            return f"{target.name}{f' {self.number + 1}' if self.count > 1 else ''}, in the units of the data"
        return f"unit {self.number} of {self.title}" if self.count > 1 else self.title

    def training_scores(self, progress: Progress | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the values of the unit for sampled training rows: the row numbers (R,) and the values (R,)."""
        import torch

        rows = self.trained.data.split["train"]
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:ROWS]]
        scores = []
        with torch.no_grad():
            for start in range(0, len(rows), BATCH_SIZE):
                # The pass over training rows is counted as a fifth of the work.
                if progress is not None:
                    progress(0.2 * start / len(rows))
                batch = rows[start : start + BATCH_SIZE]
                scores.append(self.score({name: self.trained.data.inputs[name][batch] for name in self.space.parts}))
        return rows, torch.cat(scores)

    def _capture(self, _: Any, __: Any, output: Any) -> None:
        self.captured = output[self.port] if isinstance(output, tuple) else output


def _logit_model(trained: Trained) -> nn.Module:
    """Return the network with logits as outputs if it is a classifier."""
    from netloom.compile.logit_network import with_logits

    return with_logits(trained.project, trained.model, trained.data.schema)


def _arguments(trained: Trained) -> list[str]:
    from netloom.compile import input_fields

    return input_fields(trained.project)


def _unit_axis(value: torch.Tensor) -> int:
    """Return the axis of the units of an output (N, …): 1 for feature maps, otherwise the last."""
    return 1 if value.ndim > 3 else value.ndim - 1
