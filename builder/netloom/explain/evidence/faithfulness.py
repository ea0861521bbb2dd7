"""Faithfulness: deletion and insertion curves of an attribution order, compared with random orders.

Petsiuk, Das and Saenko 2018 (RISE), https://arxiv.org/abs/1806.07421. RISE inserts pixels into a blurred image; here,
both curves start or end at the baseline, over features of any input. The comparison with chance is added.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from math import factorial

import numpy as np
import torch

from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.explanation import Faithfulness

# 19 random orders are the fewest that allow a p-value of 1/20; expensive networks get fewer orders and steps.
ORDERS, FEWEST_ORDERS = 39, 19
STEPS, FEWEST_STEPS = 24, 10
FLOPS = 5 * 10**10
EXACT = 5


def faithfulness(
    context: ExplanationContext, attributions: dict[str, np.ndarray], *, signed: bool, seed: int
) -> Faithfulness | None:
    """Compare the order of the attributions with random orders; None if there are fewer than two features.

    For signed attributions, the features that increase the score most are removed first and F should fall; for unsigned
    ones, the largest are removed first and F should change in either direction.
    """
    labels = _unit_labels(context, attributions)
    attribution_sums = _sum_by_unit(labels, attributions, signed=signed)
    unit_count = len(attribution_sums)
    if unit_count < 2:
        return None
    order = np.argsort(-attribution_sums, kind="stable")
    random = np.random.default_rng(seed)
    order_count, steps = _proof_size(context.flops)
    # All orders of few features are affordable, because they consist of at most 2^features distinct subsets.
    exhaustive = unit_count <= EXACT or factorial(min(unit_count, 10)) <= order_count
    random_orders = (
        list(permutations(range(unit_count)))
        if exhaustive
        else [random.permutation(unit_count) for _ in range(order_count)]
    )
    counts = np.unique(np.linspace(0, unit_count, min(unit_count, steps) + 1).round().astype(int))
    orders = np.array([order, *random_orders])
    deletion, insertion = _curves(context, labels, orders, counts)
    infidelity_value = infidelity(attribution_sums, orders[1:], counts, deletion[1:]) if signed else None
    proof = _compare(unit_count, counts / unit_count, deletion, insertion, signed=signed, exhaustive=exhaustive)
    return replace(proof, infidelity=infidelity_value)


def infidelity(weight: np.ndarray, orders: np.ndarray, counts: np.ndarray, deletion: np.ndarray) -> float | None:
    """Compute the infidelity of attribution sums: 1 − R² of the best multiple of the sums, from 0 to 1.

    `weight` is (features,), `orders` (K, features), `counts` (S,), and `deletion` (K, S) holds F after each removal.
    The sums should predict the change of F when a random set is removed. Yeh et al. 2019,
    https://arxiv.org/abs/1901.09392, normalized as in Captum.
    """
    cumulative = np.concatenate([np.zeros((len(orders), 1)), np.cumsum(weight[orders], axis=1)], axis=1)
    # The empty and the full set are the same in every order, so they say nothing about the sums.
    predicted, measured = cumulative[:, counts[1:-1]], deletion[:, :1] - deletion[:, 1:-1]
    if not predicted.size or not (predicted**2).sum() * (measured**2).sum() > 0:
        return None
    return float(max(0.0, 1.0 - (predicted * measured).sum() ** 2 / ((predicted**2).sum() * (measured**2).sum())))


def unit_attributions(context: ExplanationContext, attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    """Sum attributions to features (features,) over all fields, without padding."""
    return _sum_by_unit(_unit_labels(context, attributions), attributions, signed=signed)


def _sum_by_unit(labels: dict[str, np.ndarray], attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    weight = np.zeros(1 + max((int(field.max()) for field in labels.values()), default=-1))
    for name, field in labels.items():
        values = attributions[name] if signed else np.abs(attributions[name])
        # `weight[labels] += values` would count each label once.
        np.add.at(weight, field[field >= 0], values[field >= 0])
    return weight


def _proof_size(flops: int) -> tuple[int, int]:
    """Return the number of random orders and of steps; a budget in FLOPs makes it the same on every machine."""
    # Two curves of steps + 1 scores for the evaluated order and for each random one
    rows = FLOPS // max(1, flops)
    if rows >= 2 * (ORDERS + 1) * (FEWEST_STEPS + 1):
        return ORDERS, min(STEPS, int(rows // (2 * (ORDERS + 1))) - 1)
    return FEWEST_ORDERS, FEWEST_STEPS


def _unit_labels(context: ExplanationContext, attributions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Number the features of all fields consecutively; -1 marks values that are never removed."""
    labels, start = {}, 0
    for name in attributions:
        units = context.feature_mask(name)
        labels[name] = np.where(units >= 0, units + start, -1)
        start += int(units.max()) + 1
    return labels


def _curves(
    context: ExplanationContext, labels: dict[str, np.ndarray], orders: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute F for each order (K, features) after deletion and after insertion of `counts` features: (K, S) each."""
    # The inverse of each permutation: the rank of each feature
    ranks = np.argsort(orders, axis=1)
    is_removed = (ranks[:, None, :] < counts[None, :, None]).reshape(-1, orders.shape[1])  # (K·S, units)
    # Insertion removes the complement of deletion. Many masks coincide: the empty and the full one, and with few
    # features also those between; each distinct mask is evaluated once.
    masks = np.concatenate([is_removed, ~is_removed])
    _, first, inverse = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True)
    unique_masks = np.concatenate(
        [masks[first], np.zeros((len(first), 1), dtype=bool)], axis=1
    )  # the last column is label -1
    context.expect_rows(len(unique_masks))
    parts = [
        _score(context, labels, unique_masks[at : at + context.rows])
        for at in range(0, len(unique_masks), context.rows)
    ]
    scores = np.concatenate(parts)[inverse.ravel()].reshape(2, len(orders), len(counts))
    return scores[0], scores[1]


def _score(context: ExplanationContext, labels: dict[str, np.ndarray], is_removed: np.ndarray) -> np.ndarray:
    inputs = dict(context.inputs)
    rows = len(is_removed)
    for name, value in context.inputs.items():
        if name in labels:
            mask = torch.from_numpy(is_removed[:, labels[name]])
            inputs[name] = torch.where(mask, context.baseline[name], value)
        else:
            inputs[name] = value.expand(rows, *value.shape[1:])
    return context.score(inputs).double().numpy()


def _compare(
    units: int,
    fractions: np.ndarray,
    deletion: np.ndarray,
    insertion: np.ndarray,
    *,
    signed: bool,
    exhaustive: bool,
) -> Faithfulness:
    full = deletion[:, :1]
    if signed:
        gains = _area(full - deletion, fractions) - _area(full - insertion, fractions)
    else:
        gains = _area(abs(full - deletion), fractions) - _area(abs(full - insertion), fractions)
    # With equal gains, rounding must not count an order as worse than the evaluated one.
    tolerance = 1e-6 * max(1.0, float(np.abs(deletion).max()))
    as_good = int((gains[1:] >= gains[0] - tolerance).sum())
    # The enumerated orders contain the evaluated one; with random orders it is added, so that chance is never 0.
    chance = as_good / len(gains[1:]) if exhaustive else (1 + as_good) / len(gains)
    areas = [_area(curves, fractions) for curves in (deletion, insertion)]
    curves = {
        "deletion": deletion[0],
        "insertion": insertion[0],
        "deletion_chance": deletion[1:].mean(0),
        "insertion_chance": insertion[1:].mean(0),
    }
    return Faithfulness(
        units=units,
        orders=len(gains) - 1,
        deletion=float(areas[0][0]),
        deletion_chance=float(areas[0][1:].mean()),
        insertion=float(areas[1][0]),
        insertion_chance=float(areas[1][1:].mean()),
        gain=float(gains[0]),
        gain_chance=float(gains[1:].mean()),
        chance=float(chance),
        exhaustive=exhaustive,
        fractions=tuple(fractions.tolist()),
        curves={name: tuple(values.tolist()) for name, values in curves.items()},
    )


def _area(curves: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Return the area under each curve (K, S), (K,)."""
    return np.asarray(np.trapezoid(curves, fractions, axis=1))
