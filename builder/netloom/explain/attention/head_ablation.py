"""Head ablation: the effect of each attention head on the score."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attention.attention_gradients import weighted_attention
from netloom.explain.attention.attention_maps import record_attention
from netloom.explain.attention.rollout import spearman
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import HeadOrder, Remark

if TYPE_CHECKING:
    from netloom.explain.attention.attention_maps import AttentionRecord
    from netloom.explain.core.context import ExplanationContext

# The number of random orders for comparison, its minimum, and the budget in FLOPs.
ORDERS, FEWEST_ORDERS, FLOPS = 39, 9, 5 * 10**10
RARE, FAIR = 0.05, 0.25


class AttentionHeads(Explainer):
    """F(x) − F(x without the head), where the attention weights of the head are set to 0.

    The first-order estimate Σ A ⊙ ∂F/∂A is reported beside it. Michel, Levy and Neubig 2019 average its magnitude,
    for the loss, over a dataset and measure the accuracy without the head; here, one example and its score are
    explained.
    """

    name = "attention_heads"
    title = "Head ablation"
    summary = "How far the score falls when each attention head is removed"
    url = "https://arxiv.org/abs/1905.10650"
    group = ATTENTION
    is_aggregable = False
    requirements = ("attention", "softmax_attention", "gradients")
    is_summable = False
    explains_score = False

    def run(self, context: ExplanationContext) -> Result:
        record = record_attention(context)
        weighted = weighted_attention(context)
        effects = _head_effects(context, record)
        slopes = [weighted[layer.name].sum(axis=(1, 2)) for layer in record.layers]
        bounds = np.cumsum([len(layer.weights) for layer in record.layers])[:-1]
        record = replace(
            record,
            layers=[
                replace(layer, effects=effect, slopes=slope)
                for layer, effect, slope in zip(record.layers, np.split(effects, bounds), slopes, strict=True)
            ],
        )
        maps = replace(
            record.through(None)[0], head_order=_removal_order(context, record, effects, np.concatenate(slopes))
        )
        return Result({}, attention=maps, remarks=(_remark(maps.head_order),))


def scores_without_heads(context: ExplanationContext, record: AttentionRecord, is_removed: np.ndarray) -> np.ndarray:
    """Compute the scores F, (N,), without the heads in the masks (N, heads of all layers)."""
    import torch

    from netloom.explain.core.network.attention_capture import trace_attention

    scores, bounds = [], np.cumsum([len(layer.weights) for layer in record.layers])[:-1]
    for start in range(0, len(is_removed), context.rows):
        part = is_removed[start : start + context.rows]
        split = np.split(~part, bounds, axis=1)
        gates = {layer.name: torch.from_numpy(gate).float() for layer, gate in zip(record.layers, split, strict=True)}
        rows = {name: value.expand(len(part), *value.shape[1:]) for name, value in context.inputs.items()}
        with trace_attention(context.model, gates):
            scores.append(context.score(rows).double().numpy())
    return np.concatenate(scores)


def _head_effects(context: ExplanationContext, record: AttentionRecord) -> np.ndarray:
    """Compute F(x) − F(x without the head) for each head, (heads of all layers,)."""
    head_count = sum(len(layer.weights) for layer in record.layers)
    # Row 0 removes no head, which gives F(x).
    is_removed = np.concatenate([np.zeros((1, head_count), dtype=bool), np.eye(head_count, dtype=bool)])
    context.expect_rows(len(is_removed))
    scores = scores_without_heads(context, record, is_removed)
    return np.asarray(scores[0] - scores[1:])


def _removal_order(
    context: ExplanationContext, record: AttentionRecord, effects: np.ndarray, slopes: np.ndarray
) -> HeadOrder | None:
    """Remove heads cumulatively by descending effect and in random orders; None if there is only one head."""
    head_count = len(effects)
    if head_count < 2:
        return None
    random = np.random.default_rng(context.seed)
    orders = int(np.clip(FLOPS // max(1, context.flops * (head_count + 1)) - 1, FEWEST_ORDERS, ORDERS))
    orders_tried = np.stack(
        [np.argsort(-np.abs(effects), kind="stable"), *(random.permutation(head_count) for _ in range(orders))]
    )
    # The inverse of each permutation: the rank of each head
    ranks = np.argsort(orders_tried, axis=1)
    is_removed = ranks[:, None, :] < np.arange(head_count + 1)[None, :, None]  # (1 + orders, heads + 1, heads)
    context.expect_rows(is_removed[..., 0].size)
    curves = scores_without_heads(context, record, is_removed.reshape(-1, head_count)).reshape(
        1 + orders, head_count + 1
    )
    changes = np.abs(curves - curves[:, :1]).mean(axis=1)
    # With the tolerance, rounding does not count a tie as worse.
    as_good = int((changes[1:] >= changes[0] - 1e-9).sum())
    chance = (1 + as_good) / (1 + orders)
    means = tuple(curves[1:].mean(axis=0).tolist())
    return HeadOrder(orders, tuple(curves[0].tolist()), means, chance, spearman(effects, slopes))


def _remark(order: HeadOrder | None) -> Remark:
    if order is None:
        return Remark("caution", "There is only one head, so there is nothing to compare it with.")
    text = f"{order.chance:.0%} of {order.orders} random orders of removing heads change the score as fast"
    if order.chance <= RARE:
        return Remark("good", f"The top heads matter more than others: {text}.", "heads")
    if order.chance <= FAIR:
        return Remark("caution", f"The top heads matter somewhat more than others: {text}.")
    return Remark("poor", f"The top heads do not matter more than others: {text}.")
