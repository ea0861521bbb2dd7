"""Do the parts that are said to matter really matter? Deletion and insertion against random orders.

After Petsiuk, Das and Saenko 2018, https://arxiv.org/abs/1806.07421, with chance beside it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from math import factorial

import numpy as np
import torch

from netloom.explain.core.context import Subject
from netloom.explain.core.explanation import Faithfulness

# The full proof, and the least that still tells 1 in 20; a network that takes many operations gets less of it.
ORDERS, FEWEST_ORDERS = 39, 19
STEPS, FEWEST_STEPS = 24, 10
FLOPS = 5 * 10**10
EXACT = 5


def faithfulness(
    subject: Subject, attributions: dict[str, np.ndarray], *, signed: bool, seed: int
) -> Faithfulness | None:
    """Compare the order of the attributions with random orders; None where there are not two parts to order.

    Where attributions are signed, the parts that speak most for the answer go first and F should fall; where they are
    not, those that matter most go first and F should change, in either way.
    """
    labels = _labels(subject, attributions)
    weight = _weights(labels, attributions, signed=signed)
    units = len(weight)
    if units < 2:
        return None
    own = np.argsort(-weight, kind="stable")
    random = np.random.default_rng(seed)
    many, steps = _effort(subject.flops)
    # Of few parts all orders are tried, as these pass through no more than 2^parts sets.
    exhaustive = units <= EXACT or factorial(min(units, 10)) <= many
    others = list(permutations(range(units))) if exhaustive else [random.permutation(units) for _ in range(many)]
    counts = np.unique(np.linspace(0, units, min(units, steps) + 1).round().astype(int))
    orders = np.array([own, *others])
    deletion, insertion = _curves(subject, labels, orders, counts)
    unfit = infidelity(weight, orders[1:], counts, deletion[1:]) if signed else None
    found = _compare(units, counts / units, deletion, insertion, signed=signed, exhaustive=exhaustive)
    return replace(found, infidelity=unfit)


def infidelity(weight: np.ndarray, orders: np.ndarray, counts: np.ndarray, deletion: np.ndarray) -> float | None:
    """How badly the sums of parts (units,) tell what happens without them: 1 − the share that the best multiple of the
    sums accounts for, from 0 to 1, over the random sets of `_curves`. Yeh and others 2019,
    https://arxiv.org/abs/1901.09392, normalised as in Captum.
    """
    summed = np.concatenate([np.zeros((len(orders), 1)), np.cumsum(weight[orders], axis=1)], axis=1)
    said, fell = summed[:, counts[1:-1]], deletion[:, :1] - deletion[:, 1:-1]
    if not said.size or not (said**2).sum() * (fell**2).sum() > 0:
        return None
    return float(max(0.0, 1.0 - (said * fell).sum() ** 2 / ((said**2).sum() * (fell**2).sum())))


def parts_of(subject: Subject, attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    """The attribution of each part, (units,), over all fields; padding is no part."""
    return _weights(_labels(subject, attributions), attributions, signed=signed)


def _weights(labels: dict[str, np.ndarray], attributions: dict[str, np.ndarray], *, signed: bool) -> np.ndarray:
    weight = np.zeros(1 + max((int(field.max()) for field in labels.values()), default=-1))
    for name, field in labels.items():
        values = attributions[name] if signed else np.abs(attributions[name])
        np.add.at(weight, field[field >= 0], values[field >= 0])
    return weight


def _effort(flops: int) -> tuple[int, int]:
    """How many random orders and steps along each: by the network's cost, so that it is the same on every machine."""
    rows = FLOPS // max(1, flops)
    if rows >= 2 * (ORDERS + 1) * (FEWEST_STEPS + 1):
        return ORDERS, min(STEPS, int(rows // (2 * (ORDERS + 1))) - 1)
    return FEWEST_ORDERS, FEWEST_STEPS


def _labels(subject: Subject, attributions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts of all fields, numbered through; -1 for what is never taken away."""
    labels, start = {}, 0
    for name in attributions:
        units = subject.units(name)
        labels[name] = np.where(units >= 0, units + start, -1)
        start += int(units.max()) + 1
    return labels


def _curves(
    subject: Subject, labels: dict[str, np.ndarray], orders: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F for each order (K, units) after taking away, and after putting onto the baseline, `counts` parts: (K, S)."""
    ranks = np.argsort(orders, axis=1)
    gone = (ranks[:, None, :] < counts[None, :, None]).reshape(-1, orders.shape[1])  # (K·S, units)
    # What is gone in the one is what is there in the other. Many are the same: nothing is gone, everything is, and of
    # few parts also what lies between; each goes through the network once.
    every = np.concatenate([gone, ~gone])
    _, first, which = np.unique(np.packbits(every, axis=1), axis=0, return_index=True, return_inverse=True)
    single = np.concatenate([every[first], np.zeros((len(first), 1), dtype=bool)], axis=1)  # the last is label -1
    subject.expect(len(single))
    parts = [_score(subject, labels, single[at : at + subject.rows]) for at in range(0, len(single), subject.rows)]
    found = np.concatenate(parts)[which.ravel()].reshape(2, len(orders), len(counts))
    return found[0], found[1]


def _score(subject: Subject, labels: dict[str, np.ndarray], gone: np.ndarray) -> np.ndarray:
    inputs = dict(subject.inputs)
    rows = len(gone)
    for name, value in subject.inputs.items():
        if name in labels:
            mask = torch.from_numpy(gone[:, labels[name]])
            inputs[name] = torch.where(mask, subject.baseline[name], value)
        else:
            inputs[name] = value.expand(rows, *value.shape[1:])
    return subject.score(inputs).double().numpy()


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
    tolerance = 1e-6 * max(1.0, float(np.abs(deletion).max()))
    as_good = int((gains[1:] >= gains[0] - tolerance).sum())
    # Among all orders the own one is itself; among random ones it is counted in, so that chance is never said to be 0.
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
    """The mean of each curve (K, S) along the way."""
    return np.asarray(np.trapezoid(curves, fractions, axis=1))
