"""Attention maps of every head, and the rollout through all layers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from builder.explain.base import Explainer, ExplainError, Result
from builder.explain.explanation import AttentionLayer, AttentionMaps, Remark
from builder.explain.rollout import rollout, spearman
from builder.graph import SUBNETWORK

if TYPE_CHECKING:
    from torch import nn

    from builder.explain.subject import Subject
    from builder.graph import Project

AGREES = 0.5


class Attention(Explainer):
    """Exact weights of all heads. The attributions are the rollout's row for the explained step, or, where the network
    reads all steps, the mean of its rows."""

    name = "attention"
    title = "Attention maps"
    summary = "Which steps of a sequence every head looks at, and where that leads through all layers"
    url = "https://arxiv.org/abs/2005.00928"
    signed = False
    sums = False

    @classmethod
    def obstacle(cls, project: Project, model: nn.Module) -> str:
        if any(hasattr(module, "capture") for module in model.modules()):
            return ""
        return "it has no attention layer; add multi-head self-attention or a Transformer encoder block."

    def run(self, subject: Subject) -> Result:
        layers = _capture(subject)
        if not layers:
            raise ExplainError(
                "There are no attention maps to show: the attention of this network does not look from steps to steps."
            )
        reason = _unrolled(subject, layers)
        rolled = None if reason else rollout([layer.weights for layer in layers])
        field = _field(subject, layers)
        attributions, correlation = {}, None
        if rolled is not None and field is not None:
            steps = _row(subject, field, rolled)
            attributions = {field: _spread(steps, subject.specs[field].shape)}
            correlation = _agreement(subject, field, steps)
        maps = AttentionMaps(tuple(layers), _tokens(subject, field, layers), rolled, reason, correlation)
        return Result(attributions, attention=maps, remarks=(_remark(maps, field),))


def _capture(subject: Subject) -> list[AttentionLayer]:
    """The weights of every attention layer, in the order in which they act."""
    import torch

    from builder.explain.steps import steps
    from builder.explain.subject import label

    nodes = subject.project.main_network.nodes
    found = [(name, module) for name, module in subject.model.named_modules() if hasattr(module, "capture")]
    for _, module in found:
        module.capture = True
    with torch.no_grad():
        subject.forward(subject.inputs)
    layers = []
    for name, module in found:
        weights = module.attention
        across = isinstance(weights, torch.Tensor) and weights.ndim == 4 and not getattr(module, "within", True)
        if isinstance(weights, torch.Tensor) and (across or weights.shape[-2] == weights.shape[-1]):
            key, _, inside = name.partition(".")
            title = label(subject.project, key) if key in nodes else name
            if nodes.get(key) is not None and nodes[key].type == SUBNETWORK:
                title += f" · {inside.removesuffix('.attention')}"
            # Where all that is seen is one field, its steps label every layer.
            lengths, many = weights.shape[-2:], len(subject.specs) > 1
            sides = steps(subject, key, *lengths, within=not across) if many or across else ((), ())
            if sides != ((), ()) and sum(_of(other, key) for other, _ in found) > 1:
                title += f" · {inside.partition('.')[0]}"
            layers.append(AttentionLayer(name, title, bool(module.causal), weights[0].double().numpy(), *sides))
    return layers


def _of(name: str, key: str) -> bool:
    """Whether a module is of a node."""
    return name == key or name.startswith(f"{key}.")


def _unrolled(subject: Subject, layers: list[AttentionLayer]) -> str:
    """Why the layers cannot be multiplied into one map; empty where they can."""
    import networkx as nx

    from builder.check.views import digraph

    if any(hasattr(module, "capture") and not getattr(module, "within", True) for module in subject.model.modules()):
        return "an attention layer looks from one sequence into another"
    if len({length for layer in layers for length in layer.weights.shape[1:]}) > 1:
        return "the attention layers see sequences of different length"
    graph = digraph(subject.project.main_network)
    for first, second in pairwise(layer.name.partition(".")[0] for layer in layers):
        if first != second and not nx.has_path(graph, first, second):
            return "the attention layers stand side by side, not one behind the other"
    return ""


def _field(subject: Subject, layers: list[AttentionLayer]) -> str | None:
    """The field whose steps the layers see: the only one, of kind tokens or sequence, and of the same length."""
    if len(subject.specs) != 1:
        return None
    name, spec = next(iter(subject.specs.items()))
    fits = spec.kind in ("tokens", "sequence") and spec.shape[0] == layers[0].weights.shape[-1]
    return name if fits else None


def _row(subject: Subject, field: str, rolled: np.ndarray) -> np.ndarray:
    if subject.target.position is not None:
        return np.asarray(rolled[subject.target.position])
    real = subject.units(field).reshape(len(rolled), -1)[:, 0] >= 0
    return np.asarray((rolled[real] if real.any() else rolled).mean(axis=0))


def _spread(steps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The share of each step, divided evenly among its values where it has several."""
    if len(shape) == 1:
        return steps
    return np.repeat(steps[:, None] / shape[1], shape[1], axis=1)


def _agreement(subject: Subject, field: str, steps: np.ndarray) -> float | None:
    """Spearman's correlation between the rollout and what happens when each step is taken away."""
    import torch

    value, baseline = subject.inputs[field], subject.baseline[field]
    real = np.flatnonzero(subject.units(field).reshape(len(steps), -1)[:, 0] >= 0)
    if len(real) < 2:
        return None
    rows = value.repeat(len(real), *[1] * (value.ndim - 1))
    places = torch.arange(len(real))
    rows[places, torch.from_numpy(real)] = baseline[0, torch.from_numpy(real)]
    effect = (subject.score(subject.inputs) - subject.score({field: rows})).abs().double().numpy()
    return spearman(steps[real], effect)


def _tokens(subject: Subject, field: str | None, layers: list[AttentionLayer]) -> tuple[str, ...]:
    steps = layers[0].weights.shape[-1]
    if field is not None and subject.specs[field].kind == "tokens":
        known = subject.data.preprocess["fields"][0]["vocabulary"]
        return tuple(known[int(token)] for token in subject.inputs[field][0])
    return tuple(str(step + 1) for step in range(steps))


def _remark(maps: AttentionMaps, field: str | None) -> Remark:
    text = "Attention shows where information is gathered, not what the answer rests on: it is no attribution."
    if maps.rollout is None:
        return Remark("caution", f"{text} There is no rollout, as {maps.reason}.")
    if field is None:
        return Remark("caution", f"{text} Its steps are not those of an input, so it cannot be compared with one.")
    if maps.correlation is None:
        return Remark("caution", f"{text} Taking single steps away gives nothing to compare the rollout with.")
    agrees = f"(Spearman {maps.correlation:+.2f})"
    if maps.correlation >= AGREES:
        return Remark("caution", f"{text} Here its rollout agrees with what taking each step away does {agrees}.")
    if maps.correlation > 0:
        return Remark("caution", f"{text} Its rollout agrees little with what taking each step away does {agrees}.")
    return Remark("poor", f"{text} Its rollout does not agree with what taking each step away does {agrees}.")
