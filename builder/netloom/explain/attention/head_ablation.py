"""Which heads of attention the answer rests on: each is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.attention.attention_gradients import weighted_attention
from netloom.explain.attention.attention_maps import look
from netloom.explain.attention.rollout import spearman
from netloom.explain.core.explainer import ATTENTION, Explainer, Result
from netloom.explain.core.explanation import HeadOrder, Remark

if TYPE_CHECKING:
    from netloom.explain.attention.attention_maps import Looked
    from netloom.explain.core.context import Subject

# Random orders to compare with, and how much of the network's work they may take in all.
ORDERS, FEWEST_ORDERS, FLOPS = 39, 9, 5 * 10**10
RARE, FAIR = 0.05, 0.25


class AttentionHeads(Explainer):
    """F(x) − F(x without the head), where a head is taken away by setting its weights to 0; beside it what the
    gradient says, Σ A ⊙ ∂F/∂A (Michel and others 2019)."""

    name = "attention_heads"
    title = "Head ablation"
    summary = "How far the score falls when each attention head is removed"
    url = "https://arxiv.org/abs/1905.10650"
    group = ATTENTION
    needs = ("attention", "softmax_attention", "gradients")
    sums = False
    of_answer = False

    def run(self, subject: Subject) -> Result:
        looked = look(subject)
        weighted = weighted_attention(subject)
        effects = _alone(subject, looked)
        told = [weighted[layer.name].sum(axis=(1, 2)) for layer in looked.layers]
        bounds = np.cumsum([len(layer.weights) for layer in looked.layers])[:-1]
        looked = replace(
            looked,
            layers=[
                replace(layer, effects=own, slopes=slope)
                for layer, own, slope in zip(looked.layers, np.split(effects, bounds), told, strict=True)
            ],
        )
        maps = replace(looked.through(None)[0], order=_order(subject, looked, effects, np.concatenate(told)))
        return Result({}, attention=maps, remarks=(_remark(maps.order),))


def without_heads(subject: Subject, looked: Looked, gone: np.ndarray) -> np.ndarray:
    """F without the heads that are `gone` (N, heads of all layers), (N,)."""
    import torch

    from netloom.explain.core.attention_capture import readable

    found, bounds = [], np.cumsum([len(layer.weights) for layer in looked.layers])[:-1]
    for start in range(0, len(gone), subject.rows):
        part = gone[start : start + subject.rows]
        split = np.split(~part, bounds, axis=1)
        gates = {layer.name: torch.from_numpy(gate).float() for layer, gate in zip(looked.layers, split, strict=True)}
        rows = {name: value.expand(len(part), *value.shape[1:]) for name, value in subject.inputs.items()}
        with readable(subject.model, gates):
            found.append(subject.score(rows).double().numpy())
    return np.concatenate(found)


def _alone(subject: Subject, looked: Looked) -> np.ndarray:
    """By how much F is larger with each head than without it, (heads of all layers,)."""
    many = sum(len(layer.weights) for layer in looked.layers)
    gone = np.concatenate([np.zeros((1, many), dtype=bool), np.eye(many, dtype=bool)])
    subject.expect(len(gone))
    answers = without_heads(subject, looked, gone)
    return np.asarray(answers[0] - answers[1:])


def _order(subject: Subject, looked: Looked, effects: np.ndarray, slopes: np.ndarray) -> HeadOrder | None:
    """Take heads away one after the other, the strongest first, and in random orders; None where there is but one."""
    many = len(effects)
    if many < 2:
        return None
    random = np.random.default_rng(subject.seed)
    orders = int(np.clip(FLOPS // max(1, subject.flops * (many + 1)) - 1, FEWEST_ORDERS, ORDERS))
    chosen = np.stack([np.argsort(-np.abs(effects), kind="stable"), *(random.permutation(many) for _ in range(orders))])
    ranks = np.argsort(chosen, axis=1)
    gone = ranks[:, None, :] < np.arange(many + 1)[None, :, None]  # (1 + orders, many + 1, many)
    subject.expect(gone[..., 0].size)
    curves = without_heads(subject, looked, gone.reshape(-1, many)).reshape(1 + orders, many + 1)
    moved = np.abs(curves - curves[:, :1]).mean(axis=1)
    as_good = int((moved[1:] >= moved[0] - 1e-9).sum())
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
