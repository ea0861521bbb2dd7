"""Attention weighted by its gradient, carried through all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attention.attention_gradients import weighted_attention
from netloom.explain.attention.attention_maps import look
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import Subject


class AttentionRelevance(Explainer):
    """R ← R + Ā·R from the first layer to the last, Ā the mean over the heads of what is positive in A ⊙ ∂F/∂A; over
    all sequences side by side, where one looks into another."""

    name = "attention_relevance"
    title = "Gradient-weighted attention"
    summary = "Attention × gradient propagated through all layers: which positions the score reacts to"
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
    text = "It follows attention layers only and ignores how other layers mix positions"
    if reason:
        return Remark("caution", f"{text}. The layers cannot be combined, because {reason}.")
    if not seen:
        return Remark("caution", f"{text}. The attended positions are not those of the input.")
    told = "" if agreement is None else f" (Spearman {agreement:+.2f} with the effect of removing each position)"
    return Remark("good", f"{text}{told}.")


def carried(weighted: list[np.ndarray]) -> np.ndarray:
    """The relevance of each step for each step after all layers, (T, T), without what each step starts with."""
    start = np.eye(weighted[0].shape[-1])
    relevance = start
    for heads in weighted:
        relevance = relevance + heads.clip(min=0).mean(axis=0) @ relevance
    return relevance - start
