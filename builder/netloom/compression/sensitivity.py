"""The sensitivity of each layer: how the loss changes if only this layer is quantized or pruned.

https://arxiv.org/abs/1608.08710, section 3.2
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.compression.channel_graph import ChannelGraph
from netloom.compression.importance import importance
from netloom.compression.method import CompressionError, unavailable_reason
from netloom.compression.narrowing import least_important, masked
from netloom.training.diagnostics.node_modules import LayerModule, places
from netloom.training.evaluation import compute_metrics
from netloom.training.streaming import evaluation_rows, take
from netloom.validation import analyze

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.runs import TrainedRun

ROWS = 500
AMOUNT = 0.5
LARGEST_INT8 = 127


@dataclass(frozen=True)
class LayerSensitivity:
    """The changes of the loss if the weights of a layer are rounded to 8 bits, and without half of its channels; None
    if no channel of it can be removed. `nodes` is the path of node ids from the main network."""

    path: str
    title: str
    nodes: tuple[str, ...]
    parameters: int
    int8: float
    pruned: float | None


@dataclass(frozen=True)
class Sensitivity:
    """The layers with weights in the order of execution. `loss` is that of the original on `rows` rows of `split`."""

    layers: tuple[LayerSensitivity, ...]
    loss: float
    rows: int
    split: str


# The measured changes with their titles
CHANGES = {"int8": "Rounded to 8 bits", "pruned": "Half of the channels removed"}


def changes(layer: LayerSensitivity) -> dict[str, float | None]:
    """Return the changes of the loss by the names in `CHANGES`."""
    return {"int8": layer.int8, "pruned": layer.pruned}


def sensitivity(trained: TrainedRun, progress: Callable[[float], None] = lambda share: None) -> Sensitivity:
    """Measure each layer with weights alone; the others stay as they are.

    Raises:
        CompressionError: the task has no loss on rows, or the network has no layer with a weight matrix.
    """
    if reason := unavailable_reason(trained.objective.task):
        raise CompressionError(reason)
    graph = ChannelGraph(analyze(trained.project, trained.data.schema).context, trained.model)
    removable = least_important(graph, AMOUNT, importance(trained, "l1")(graph))
    measure = _Loss(trained)
    loss = measure(trained.model)
    layers = [item for item in places(trained.project, trained.model) if _matrices(trained.model, item)]
    if not layers:
        raise CompressionError("This network has no layers with weight matrices.")
    measured = []
    for number, layer in enumerate(layers, 1):
        removed = {
            root
            for item in graph.slices
            if item.makes and item.tensor.startswith(f"{layer.path}.")
            for root in graph.roots(item.numbers).tolist()
        } & removable
        measured.append(
            LayerSensitivity(
                layer.path,
                layer.title,
                layer.nodes,
                sum(value.numel() for value in trained.model.get_submodule(layer.path).parameters()),
                measure(_rounded(trained.model, layer)) - loss,
                measure(masked(trained.model, graph, removed)) - loss if removed else None,
            )
        )
        progress(number / len(layers))
    return Sensitivity(tuple(measured), loss, measure.rows, measure.split)


class _Loss:
    """Computes the loss of a changed copy of the network on held-out rows."""

    def __init__(self, trained: TrainedRun) -> None:
        self._trained, self.split = trained, trained.data.monitored_split
        rows = evaluation_rows(trained.data, self.split)[:ROWS]
        inputs = take(trained.data, trained.fields, rows.numpy())
        self._inputs = [inputs[name] for name in trained.fields]
        self._target, self.rows = trained.objective.target(trained.data)[rows], len(rows)

    def __call__(self, model: nn.Module) -> float:
        from netloom.compile.logit_network import with_logits

        scorer = with_logits(self._trained.project, model, self._trained.data.schema)
        metrics = compute_metrics(scorer, self._trained.objective, self._inputs, self._target)
        if "loss" not in metrics:
            raise CompressionError("This task has no loss for each row, so the layers cannot be compared.")
        return metrics["loss"]


def _matrices(model: nn.Module, layer: LayerModule) -> list[torch.Tensor]:
    return [value for value in model.get_submodule(layer.path).parameters() if value.dim() > 1]


def _rounded(model: nn.Module, layer: LayerModule) -> nn.Module:
    """Return a copy of the network in which the weights of a layer have 8 bits, with a scale for each row."""
    import torch

    model = copy.deepcopy(model)
    with torch.no_grad():
        for weight in _matrices(model, layer):
            scale = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True) / LARGEST_INT8
            weight.copy_(torch.where(scale > 0, (weight / scale).round() * scale, weight))
    return model
