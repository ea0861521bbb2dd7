"""An explanation and its proofs, as values that can be shown, compared and written as JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from builder.data import Example

Level = Literal["good", "caution", "poor"]
LEVELS: tuple[Level, ...] = ("good", "caution", "poor")


@dataclass(frozen=True)
class Target:
    """Which number of the network's answer is explained: a class's logit, the value of an action, an output in
    the data's own units, the logit of a token or tag at a position, the mean logit of a class over the pixels `places`,
    or how far off a reconstruction is. `quantity` says it in words."""

    kind: Literal["class", "value", "number", "next_token", "error", "mask", "tags"]
    index: int
    name: str
    quantity: str
    position: int | None = None
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The network's answer in words, and the probability of each class (for text: of the likeliest next tokens)."""

    text: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Completeness:
    """How far the parts add up: `sum` of all parts against F(x) − F(baseline), with `delta` between them.

    `relative_error` is |delta| over |F(x) − F(baseline)|, or None where both are next to nothing. `promised` says
    whether the method claims that they add up.
    """

    sum: float
    answer: float
    baseline_answer: float
    delta: float
    relative_error: float | None
    steps: int | None
    promised: bool


@dataclass(frozen=True)
class Faithfulness:
    """Whether the parts that are said to matter do matter, against chance.

    Parts are taken away (deletion) and put onto the baseline (insertion), the most important first. An area is the
    mean of F along the way, with the mean of `orders` random orders beside it. `gain` is the gap between the two ways:
    how much sooner the answer goes and comes back. `chance` is the share of random orders that do at least as well.
    """

    units: int
    orders: int
    deletion: float
    deletion_chance: float
    insertion: float
    insertion_chance: float
    gain: float
    gain_chance: float
    chance: float
    exhaustive: bool
    fractions: tuple[float, ...]
    curves: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Proofs:
    """What an explanation can be held to. The same `seed` gives the same proofs."""

    completeness: Completeness | None
    faithfulness: Faithfulness | None
    seed: int


@dataclass(frozen=True)
class Remark:
    """One judgement: a level and a sentence."""

    level: Level
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """How far the explanation can be trusted: the worst of its remarks, and all of them in words."""

    level: Level
    sentence: str


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer: `weights` (heads, T, S), row = the step that looks, column = the step that is looked at.

    `looking` (T) and `looked_at` (S) label them where they are not those of all layers, `AttentionMaps.tokens`.
    """

    name: str
    title: str
    causal: bool
    weights: np.ndarray
    looking: tuple[str, ...] = ()
    looked_at: tuple[str, ...] = ()


@dataclass(frozen=True)
class AttentionMaps:
    """All attention layers in the order in which they act, and what flows through all of them.

    `tokens` label the steps. `rollout` (T, T) is None where the layers do not follow each other, and `reason` says so.
    `correlation` is Spearman's between the rollout and the effect of taking each step away.
    """

    layers: tuple[AttentionLayer, ...]
    tokens: tuple[str, ...]
    rollout: np.ndarray | None
    reason: str
    correlation: float | None


@dataclass(frozen=True)
class Explanation:
    """Why a network answered so. `attributions` has an array in the shape of each input (tokens: (T,)).

    `labels` names the features of a table, the channels of a series, and each token of a text.
    """

    method: str
    title: str
    target: Target
    prediction: Prediction
    attributions: dict[str, np.ndarray]
    labels: dict[str, tuple[str, ...]]
    example: Example
    proofs: Proofs
    verdict: Verdict
    options: dict[str, Any]
    attention: AttentionMaps | None = None

    def as_json(self) -> dict[str, Any]:
        """The whole explanation in plain JSON values."""
        found = _plain(self)
        if not isinstance(found, dict):
            raise TypeError("an explanation is written as an object")
        return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
