"""Attention weighted by its gradient, carried through all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attention.attention_maps import look
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import Subject


class AttentionRelevance(Explainer):
    """R ← R + Ā·R from the first layer to the last, Ā the mean over the heads of what is positive in A ⊙ ∂F/∂A; over
    all sequences side by side, where one looks into another."""

    name = "attention_relevance"
    title = "Gradient-weighted attention"
    summary = "Which steps the answer rests on by way of the attention that it reacts to, through all layers"
    url = "https://arxiv.org/abs/2103.15679"
    group = ATTENTION
    needs = ("attention", "softmax_attention", "gradients")
    sums = False

    def run(self, subject: Subject) -> Result:
        looked = look(subject)
        weighted = weighted_attention(subject)
        looked = replace(looked, layers=[replace(one, weights=weighted[one.name]) for one in looked.layers])
        total = None if looked.reason else carried(looked.joined(one.weights for one in looked.layers))
        maps, attributions = looked.through(total)
        return Result(
            attributions, attention=maps, remarks=(_remark(maps.reason, bool(attributions), maps.correlation),)
        )


def _remark(reason: str, seen: bool, agreement: float | None) -> Remark:
    text = "It follows attention alone, so what the other layers do between the steps is left out"
    if reason:
        return Remark("caution", f"{text}. The layers cannot be put together, as {reason}.")
    if not seen:
        return Remark("caution", f"{text}. The steps that it looks at are not those of what comes in.")
    told = "" if agreement is None else f"; Spearman {agreement:+.2f} with what taking each step away does"
    return Remark("good", f"{text}{told}.")


def slopes(subject: Subject) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """A and ∂F/∂A of every attention layer, (heads, T, S), by its path, in the order in which they act. There is no
    slope where the answer does not depend on the layer."""
    import torch

    from netloom.explain.core.attention_capture import readable

    values = tuple(point.value.clone().requires_grad_() for point in subject.points)
    with readable(subject.model) as kept:
        score = subject.point_score(*values).sum()
    # Weights that do not depend on what comes in have no gradient of their own.
    known = {name: weights for name, weights in kept.items() if weights.requires_grad}
    found = torch.autograd.grad(score, list(known.values()), allow_unused=True) if known else ()
    told = {name: _array(slope) for name, slope in zip(known, found, strict=True) if slope is not None}
    return {name: (_array(weights), told.get(name)) for name, weights in kept.items()}


def _array(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values[0].detach().double().numpy()
    return found


def weighted_attention(subject: Subject) -> dict[str, np.ndarray]:
    """A ⊙ ∂F/∂A of every attention layer, (heads, T, S), by its path, in the order in which they act."""
    found = slopes(subject)
    return {name: weights * (0.0 if slope is None else slope) for name, (weights, slope) in found.items()}


def carried(weighted: list[np.ndarray]) -> np.ndarray:
    """The relevance of each step for each step after all layers, (T, T), without what each step starts with."""
    start = np.eye(weighted[0].shape[-1])
    relevance = start
    for heads in weighted:
        relevance = relevance + heads.clip(min=0).mean(axis=0) @ relevance
    return relevance - start
