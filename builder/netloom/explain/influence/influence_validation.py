"""Whether rows that are said to have taught something do: learning from them once more, beside random rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.explanation import Level

if TYPE_CHECKING:
    import torch

    from netloom.explain.influence.per_sample_gradients import Rows

# Steps on the rows that were named, and sets of random rows that they are compared with.
STEPS, SETS = 3, 40
# How much of the loss these steps may take away, by the slope.
CHANGE = 0.1
SURE, LIKELY = 0.05, 0.25


@dataclass(frozen=True)
class Tried:
    """What learning `steps` steps on the named rows does to the loss of the example, beside random rows.

    `gain` is how far the loss falls with those that speak for it, `harm` how far it rises with those against it. Both
    `chance`s are the share of `sets` of as many random rows that do at least as much.
    """

    gain: float
    gain_chance: float
    harm: float
    harm_chance: float
    steps: int
    sets: int


def relearn(
    work: Rows,
    values: list[torch.Tensor],
    target: torch.Tensor,
    rows: np.ndarray,
    sides: tuple[list[Any], list[Any]],
    rate: float,
    seed: int,
) -> Tried | None:
    """Learn from the rows that were named, and from random ones, on a copy of the weights in use."""
    size = min(len(sides[0]), len(sides[1]))
    if size == 0 or len(rows) <= 2 * size:
        return None
    before = {name: value.clone() for name, value in work.weights.items()}
    random = np.random.default_rng(seed)
    start = float(work.losses(before, values, target)[0].double())
    # A step so short that it shows where the loss goes, and does not leap over its lowest place.
    places = rows[np.array(sides[0][:size], dtype=np.int64)]
    own, towards = work.gradient(work.inputs(places), work.targets(places)), work.gradient(values, target)
    product = abs(sum(float((own[name] * towards[name]).sum()) for name in own)) / size
    rate = min(rate, CHANGE * start / (STEPS * product)) if product else rate

    sets = [sides[0][:size], sides[1][:size], *(random.choice(len(rows), size, replace=False) for _ in range(SETS))]
    changes = work.learned(rows[np.array(sets, dtype=np.int64)], rate, STEPS, values, target) - start
    gain, harm, others = -float(changes[0]), float(changes[1]), changes[2:]
    return Tried(gain, _chance(-others, gain), harm, _chance(others, harm), STEPS, SETS)


def _chance(others: np.ndarray, own: float) -> float:
    return float(((others >= own).sum() + 1) / (len(others) + 1))


def judged(tried: Tried | None, loss: float, stages: int) -> tuple[Level, str]:
    """How far the named rows can be relied on, in a word and a sentence."""
    way = f"{stages} checkpoints" if stages > 1 else "1 checkpoint"
    if tried is None:
        return "caution", f"Based on {way}. There are too few rows for a comparison with random rows."
    sets = f"{tried.sets} random sets of rows"
    text = (
        f"Based on {way}. Validated by {tried.steps} training steps: the proponents change the loss of {loss:.3g} by "
        f"{-tried.gain:+.2g}, a larger decrease than {_beaten(tried.gain_chance, tried.sets)} of {sets}; the opponents "
        f"change it by {tried.harm:+.2g}, a larger increase than {_beaten(tried.harm_chance, tried.sets)} of them."
    )
    worst = max(tried.gain_chance, tried.harm_chance)
    if worst > LIKELY or tried.gain <= 0 or tried.harm <= 0:
        return "poor", text
    if worst > SURE:
        return "caution", text
    if stages == 1:
        return "caution", f"{text} One checkpoint does not cover early training."
    return "good", text


def _beaten(chance: float, sets: int) -> int:
    return sets - round(chance * (sets + 1) - 1)
