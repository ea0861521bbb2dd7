"""Early exit: a classifier on an inner layer answers for the rows that it is confident about.

BranchyNet (Teerapittayanon et al. 2016, https://arxiv.org/abs/1709.01686) trains the exits together with the network
and measures confidence by entropy. Here the network stays as it is: only the exit is trained, and its confidence is the
largest probability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netloom.compression.conditional_graph import NOTHING_FOLLOWS, Scale, left_early, with_early_exit
from netloom.compression.method import CompressionError, Method, Variant, as_onnx, with_metadata
from netloom.export.onnx_network import OnnxNetwork
from netloom.layers import label
from netloom.training.streaming import evaluation_rows, take
from netloom.validation.context_cache import ContextCache
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.compression.exit_head import ExitHead
    from netloom.runs import TrainedRun
    from netloom.validation import Context

# By how much the accuracy on validation rows may fall, as a share
TOLERANCE = 0.005
# Rows that train the exit, and that choose its layer and its threshold
TRAINING_ROWS, VALIDATION_ROWS, MIN_VALIDATION_ROWS = 4_000, 4_000, 30
# Proposed are layers at different depths, after which at least a quarter of the operations is left.
MAX_PROPOSALS, MAX_SHARE = 6, 0.75
# The share of the operations that an exit has to save on average; less is not worth a condition
MIN_SAVED = 0.05
# The largest difference from what the two parts compute on their own, relative to the largest output but at least 1
DIFFERENCE = 1e-4


@dataclass(frozen=True)
class ExitLayer:
    """A layer at which rows can leave: the path of its module, its name for people, and the share of the operations of
    the network up to it. `operations` are those of the whole network for a row."""

    path: str
    title: str
    share: float
    operations: int


@dataclass(frozen=True)
class _Exit:
    """A trained exit. `left` is the share of the validation rows that leave, and `saved` that of the operations."""

    layer: ExitLayer
    head: ExitHead
    threshold: float
    left: float
    saved: float


class EarlyExit(Method):
    """The whole network and an exit in one file: larger, and faster for the rows that leave."""

    name = "early_exit"
    title = "Early exit"
    summary = (
        "A classifier on an intermediate layer ends the computation for rows that it predicts with high confidence: "
        "faster on average, but not smaller"
    )
    order = 35
    settings = ("exit_at", "tolerance")

    def __init__(self, exit_at: str = "", tolerance: float = TOLERANCE) -> None:
        self.exit_at, self.tolerance = exit_at, tolerance

    def compress(self, trained: TrainedRun) -> Variant:
        validation = _refused_or_rows(trained)
        if not 0 <= self.tolerance < 1:
            raise CompressionError(f"The tolerance is a share from 0 to 1, received {self.tolerance:g}.")
        layers = exit_layers(trained)
        layers = proposed(layers) if not self.exit_at else [_layer(layers, self.exit_at)]
        if not layers:
            raise CompressionError(
                "This network is too shallow for an early exit: at least a quarter of its operations has to come after "
                "a layer with weights."
            )
        if all(layer.share >= 1 for layer in layers):  # before anything is trained or exported
            raise CompressionError(NOTHING_FOLLOWS)
        best = max(_exits(trained, layers, validation, self.tolerance), key=lambda item: item.saved)
        if not best.left:
            raise CompressionError(
                f"No row can leave at {best.layer.title} without losing more than {100 * self.tolerance:g} points of "
                "accuracy on validation rows; raise the tolerance, or choose a later layer."
            )
        if not self.exit_at and best.saved < MIN_SAVED:
            raise CompressionError(
                f"An early exit saves less than {MIN_SAVED:.0%} of the operations of this network: at the best layer, "
                f"{best.layer.title}, {best.left:.1%} of the validation rows can leave."
            )
        content = _content(trained, best)
        loss = f"at most {100 * self.tolerance:g} points less accuracy"
        unused_note = "" if best.left < 1 else " No validation row needed the layers after the exit."
        note = (
            f"An exit after {best.layer.title}, at {best.layer.share:.0%} of the operations: a row exits there if the "
            f"probability of its most likely class is at least {best.threshold:.3f}. With this threshold, "
            f"{best.left:.1%} of {len(validation):,} validation rows exit, with {loss}.{unused_note} "
            "The file has the whole network and the exit, so it is larger than without one."
        )
        return replace(self.variant(content, note), leaves_early=True)


def exit_layers(trained: TrainedRun) -> list[ExitLayer]:
    """Return the layers of the main network at which rows could leave, in the order of execution, with the single
    repetitions of a repeated network."""
    from netloom.compression.exit_head import MAX_FEATURES, feature_count

    analysis = ContextCache(trained.project, None).use(trained.project.main)
    if analysis is None:
        return []
    total = sum(facts.flops for facts in analysis.nodes.values())
    layers: list[ExitLayer] = []
    for key in analysis.order:
        outputs = list(analysis.nodes[key].outputs.values()) if key in analysis.nodes else []
        if not total or not outputs or outputs[0].dtype != "float" or not 2 <= len(outputs[0].shape) <= 5:
            continue
        if feature_count(outputs[0].shape) > MAX_FEATURES:
            continue
        before, layer_operations = _operations_before(analysis, key), analysis.nodes[key].flops
        for path, done in _modules(trained.model, key):
            layers.append(
                ExitLayer(path, _title(analysis, key, path), (before + done * layer_operations) / total, total)
            )
    return layers


def proposed(layers: list[ExitLayer]) -> list[ExitLayer]:
    """Return layers at different depths, after operations and well before the end: of several layers at about the same
    depth the last one, which is an activation rather than a convolution."""
    bins = {int(layer.share / MAX_SHARE * MAX_PROPOSALS): layer for layer in layers if 0 < layer.share <= MAX_SHARE}
    return list(bins.values())


def _refused_or_rows(trained: TrainedRun) -> np.ndarray:
    """Return the validation rows.

    Raises:
        CompressionError: early exit makes no sense for this run.
    """
    if not trained.objective.task.exits_early:
        raise CompressionError("An early exit needs a run that predicts one class for each row.")
    rows: np.ndarray = evaluation_rows(trained.data, "validation").numpy()[:VALIDATION_ROWS]
    if len(rows) < MIN_VALIDATION_ROWS:
        raise CompressionError(
            f"The threshold of an early exit is chosen on at least {MIN_VALIDATION_ROWS} validation rows, but this run "
            f"has {len(rows)}."
        )
    return rows


def _layer(layers: list[ExitLayer], path: str) -> ExitLayer:
    """Return the layer with a path. That of a repeated network is its last repetition."""
    for layer in reversed(layers):
        if path in (layer.path, layer.path.partition(".")[0]):
            return layer
    known = ", ".join(layer.path for layer in layers)[:400]
    raise CompressionError(f"There is no layer {path[:60]!r} at which rows can leave; choose one of {known}.")


def _operations_before(analysis: Context, key: str) -> int:
    import networkx as nx

    return sum(analysis.nodes[node].flops for node in nx.ancestors(analysis.graph, key) if node in analysis.nodes)


def _modules(model: nn.Module, key: str) -> list[tuple[str, float]]:
    """Return the modules of a node that run once, each with the share of the operations of the node until its end."""
    module = dict(model.named_children()).get(key)
    if module is None:  # an Input
        return []
    copies = list(module.named_children()) if type(module).__name__ == "Repeated" else []
    if len(copies) < 2 or getattr(module, "times", 1) > 1:
        return [(key, 1.0)]
    return [(f"{key}.{name}", (number + 1) / len(copies)) for number, (name, _) in enumerate(copies)]


def _title(analysis: Context, key: str, path: str) -> str:
    title, (_, _, copy) = label(analysis.network.nodes[key]), path.partition(".")
    return f"{title} {int(copy) + 1}" if copy else title


def _exits(trained: TrainedRun, layers: list[ExitLayer], validation: np.ndarray, tolerance: float) -> list[_Exit]:
    """Train an exit at each layer, and choose its threshold.

    Raises:
        CompressionError: there is nothing to learn from.
    """
    from netloom.compression.exit_head import confidence_threshold, features_of, fit_head

    rows = evaluation_rows(trained.data, "train").numpy()
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:TRAINING_ROWS])
    paths = [layer.path for layer in layers]
    training = features_of(trained, paths, take(trained.data, trained.fields, chosen))
    inputs = take(trained.data, trained.fields, validation)
    held_out, target = features_of(trained, paths, inputs), trained.objective.target(trained.data)
    output, labels = trained.output(inputs), target[validation]
    is_right_at_end = (output.argmax(1) == labels).numpy()
    if len(np.unique(target[chosen].numpy())) < 2:
        raise CompressionError("An early exit cannot be trained: the training rows have one class only.")
    exits = []
    for layer in layers:
        if not training[layer.path].isfinite().all():
            raise CompressionError(
                f"{layer.title} has outputs that are NaN or infinite, so an exit cannot be trained on it."
            )
        head = fit_head(training[layer.path], target[chosen].numpy(), output.shape[1])
        probabilities = _probabilities(head, held_out[layer.path])
        confidence, is_right = probabilities.max(1).values.numpy(), (probabilities.argmax(1) == labels).numpy()
        threshold, left = confidence_threshold(confidence, is_right, is_right_at_end, tolerance) or (1.0, 0.0)
        head_operations = 2 * head.linear.weight.numel() / layer.operations
        exits.append(_Exit(layer, head, threshold, left, left * (1 - layer.share) - head_operations))
    return exits


def _probabilities(head: ExitHead, features: torch.Tensor) -> torch.Tensor:
    import torch

    with torch.no_grad():
        probabilities: torch.Tensor = head.linear(features).softmax(1)
    return probabilities


def _content(trained: TrainedRun, chosen: _Exit) -> bytes:
    """Return the conditional network as an ONNX file.

    Raises:
        CompressionError: it does not compute what its two parts compute.
    """
    from netloom.compression.exit_head import with_exit

    both = as_onnx(trained, with_exit(trained.model, chosen.layer.path, chosen.head))
    how = scales(trained.project, trained.data.schema)
    scale = cast("Scale", how[0][0]) if how and how[0] else "logits"
    rows = evaluation_rows(trained.data, "validation").numpy()[:MIN_VALIDATION_ROWS]
    inputs = take(trained.data, trained.fields, rows)
    tensors = [inputs[name] for name in trained.fields]
    _verify(both, tensors, scale)
    return with_metadata(with_early_exit(both, chosen.threshold, tensors, scale), both)


def _verify(both: Any, tensors: list[torch.Tensor], scale: Scale) -> None:
    """Compare a conditional network with its parts, for rows about half of which exit early.

    Raises:
        CompressionError: they differ, because the layers after the exit read several rows at once.
    """
    import torch

    end, head = OnnxNetwork(both.SerializeToString(), 1).outputs(tensors)
    threshold = float(head.softmax(1).amax(1).median())
    content = with_early_exit(both, threshold, tensors, scale).SerializeToString()
    leaves = torch.from_numpy(left_early(content, tensors))
    early = {"logits": head, "probabilities": head.softmax(1), "log_probabilities": head.log_softmax(1)}[scale]
    expected = torch.where(leaves[:, None], early, end)
    [merged] = OnnxNetwork(content, 1).outputs(tensors)
    difference = float((merged - expected).abs().max()) / max(float(expected.abs().max()), 1.0)
    if not difference <= DIFFERENCE:  # also if it is NaN
        raise CompressionError(
            "This network does not support an early exit, because its rows are not independent: removing some rows "
            f"changes the outputs of the others by {difference:.1e}."
        )
