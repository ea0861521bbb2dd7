"""Gradient-weighted attention, propagated through all layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attention.attention_gradients import weighted_attention
from netloom.explain.attention.attention_maps import record_attention
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import Remark

if TYPE_CHECKING:
    from netloom.explain.core.context import ExplanationContext


class AttentionRelevance(Explainer):
    """Relevance propagation R ← R + Ā·R from the first to the last layer.

    Ā is the mean over heads of the positive part of A ⊙ ∂F/∂A (Chefer, Gur and Wolf 2021). The paper has separate,
    normalized rules for cross-attention; here, all sequences are concatenated and follow the rule of self-attention.
    """

    name = "attention_relevance"
    title = "Gradient-weighted attention"
    summary = "Attention × gradient propagated through all layers: which positions the score reacts to"
    url = "https://arxiv.org/abs/2103.15679"
    group = ATTENTION
    requirements = ("attention", "softmax_attention", "gradients")
    is_summable = False

    def run(self, context: ExplanationContext) -> Result:
        record = record_attention(context)
        weighted = weighted_attention(context)
        record = replace(record, layers=[replace(layer, weights=weighted[layer.name]) for layer in record.layers])
        relevance = (
            None if record.reason else propagate_relevance(record.joined(layer.weights for layer in record.layers))
        )
        maps, attributions = record.through(relevance)
        return Result(
            attributions, attention=maps, remarks=(_remark(maps.reason, bool(attributions), maps.correlation),)
        )


def _remark(reason: str, is_input: bool, agreement: float | None) -> Remark:
    text = "It follows attention layers only and ignores how other layers mix positions"
    if reason:
        return Remark("caution", f"{text}. The layers cannot be combined, because {reason}.")
    if not is_input:
        return Remark("caution", f"{text}. The attended positions are not those of the input.")
    agreement_text = (
        "" if agreement is None else f" (Spearman {agreement:+.2f} with the effect of removing each position)"
    )
    return Remark("good", f"{text}{agreement_text}.")


def propagate_relevance(weighted: list[np.ndarray]) -> np.ndarray:
    """Return the relevance (T, T) of each position for each position after all layers, without the initial identity.

    `weighted` has one map (heads, T, T) per layer.
    """
    start = np.eye(weighted[0].shape[-1])
    relevance = start
    for heads in weighted:
        relevance = relevance + heads.clip(min=0).mean(axis=0) @ relevance
    return relevance - start
