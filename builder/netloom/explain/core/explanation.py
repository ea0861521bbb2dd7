"""An explanation and its proofs, as values that can be shown, compared and written as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from netloom.data import Example
from netloom.explain.core.axes import Axes

Level = Literal["good", "caution", "poor"]
LEVELS: tuple[Level, ...] = ("good", "caution", "poor")
# How far off the sum of the parts may be for each word.
COMPLETENESS_BOUNDS = (("exact", 1e-4), ("converged", 0.01), ("approximate", 0.05))


TargetQuantity = Literal[
    "class", "value", "number", "next_token", "error", "mask", "tags", "label", "binary", "distance", "raw", "head"
]


@dataclass(frozen=True)
class Target:
    """Which number of the network's answer is explained: a class's logit, the value of an action, an output in
    the data's own units, the logit of a token or tag at a position, the mean logit of a class over the pixels `places`,
    or how far off a reconstruction is. Of single objectives: a label's logit, that of a binary answer for or against,
    the distance of a pair, a number as it is (raw), or one of several outputs (head) whose place is `position`.
    `quantity` says it in words."""

    kind: TargetQuantity
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
    whether the method claims that they add up, and `by_construction` that they do so however wrong each of them is.
    """

    sum: float
    answer: float
    baseline_answer: float
    delta: float
    relative_error: float | None
    steps: int | None
    promised: bool
    by_construction: bool = False

    @property
    def word(self) -> str:
        """How well the parts add up, by `relative_error` alone; empty where they need not, or cannot help it."""
        if self.relative_error is None or not self.promised or self.by_construction:
            return ""
        return next((word for word, bound in COMPLETENESS_BOUNDS if self.relative_error <= bound), "unreliable")


@dataclass(frozen=True)
class Faithfulness:
    """Whether the parts that are said to matter do matter, against chance.

    Parts are taken away (deletion) and put onto the baseline (insertion), the most important first. An area is the
    mean of F along the way, with the mean of `orders` random orders beside it. `gain` is the gap between the two ways:
    how much sooner the answer goes and comes back. `chance` is the share of random orders that do at least as well.
    `infidelity`: over random sets of parts, how badly their sum tells how far F falls without them, from 0 to 1 and
    whatever the scale of the parts (Yeh and others 2019); None where the parts have no sign.
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
    infidelity: float | None = None


@dataclass(frozen=True)
class RandomizationTest:
    """How much of the explanation stays when the network forgets what it learned: `spearman`, signed, between the parts
    and those of `draws` networks whose weights are shuffled, averaged. `passed`: little of it stays."""

    spearman: float
    draws: int
    passed: bool


@dataclass(frozen=True)
class Sampling:
    """How far a method that draws at random is off: the standard errors of the means of `repeats` independent
    estimates, added up over the parts, relative to the sum of their sizes; None where there is but one estimate.
    `enumerated`: nothing was drawn, as every case was tried."""

    repeats: int
    standard_error: float | None
    enumerated: bool


@dataclass(frozen=True)
class CrossCheck:
    """Spearman's rank correlation of the parts, summed up over `groups`, with those of another method."""

    title: str
    spearman: float
    groups: int


@dataclass(frozen=True)
class Proofs:
    """What an explanation can be held to. The same `seed` gives the same proofs."""

    completeness: Completeness | None
    faithfulness: Faithfulness | None
    seed: int
    randomised: RandomizationTest | None = None
    sampling: Sampling | None = None
    cross_check: CrossCheck | None = None


@dataclass(frozen=True)
class Remark:
    """One judgement: a level and a sentence. `check` names what was checked; empty where nothing was."""

    level: Level
    sentence: str
    check: str = ""


# What a verdict is called where it does not say more.
TITLES: dict[Level, str] = {"good": "Checks passed", "caution": "Interpret with caution", "poor": "Checks failed"}
FAITHFUL_TITLES = ("Faithfulness checks passed", TITLES["good"])


@dataclass(frozen=True)
class Verdict:
    """What the checks of an explanation found: the worst of its remarks, and all of them in words. `badge` says in a
    few words what was checked, and never that the model is right; `model` says what is wrong with the model itself."""

    level: Level
    sentence: str
    badge: str = ""
    model: str = ""

    @property
    def checked(self) -> str:
        """What came of the checks, without the model."""
        return self.badge or TITLES[self.level]

    @property
    def title(self) -> str:
        """What came of the checks, and what is wrong with the model, in one breath."""
        if not self.model:
            return self.checked
        return (
            f"{self.checked}, but {self.model}" if self.checked in FAITHFUL_TITLES else f"{self.checked}; {self.model}"
        )


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer: `weights` (heads, T, S), row = the step that looks, column = the step that is looked at.

    `looking` (T) and `looked_at` (S) label them where they are not those of all layers, `AttentionMaps.tokens`.
    `streams` are the places in `AttentionMaps.streams` of what looks and of what is looked at. Of each head, `effects`
    say by how much F is larger with it than without it, and `slopes` the same as the gradient tells it.
    """

    name: str
    title: str
    causal: bool
    weights: np.ndarray
    looking: tuple[str, ...] = ()
    looked_at: tuple[str, ...] = ()
    streams: tuple[int, ...] = (0, 0)
    effects: np.ndarray | None = None
    slopes: np.ndarray | None = None


@dataclass(frozen=True)
class Stream:
    """A sequence that attention looks from or at. `field` is the input whose steps these are, empty where it is none.

    `grid` is (down, across) where the steps are places of a picture, row by row, behind `special` steps that are none,
    such as a class token. `effects` (T) are by how much F is larger with each step than without it; None where a step
    cannot be taken away.
    """

    field: str
    tokens: tuple[str, ...]
    grid: tuple[int, ...] = ()
    special: int = 0
    effects: tuple[float | None, ...] = ()

    @property
    def lost(self) -> np.ndarray:
        """The effects (T), with NaN where there is none."""
        effects = self.effects or (None,) * len(self.tokens)
        return np.array([np.nan if effect is None else effect for effect in effects])


@dataclass(frozen=True)
class HeadOrder:
    """Whether the heads that are said to matter do: heads are taken away one after the other, those first whose own
    effect is largest, and beside it in `orders` random orders. `curve` and `random` (heads + 1) are F along the way,
    `chance` the share of random orders that change F at least as soon, `agreement` Spearman's between the effects and
    what the gradient says."""

    orders: int
    curve: tuple[float, ...]
    random: tuple[float, ...]
    chance: float
    agreement: float | None


@dataclass(frozen=True)
class AttentionMaps:
    """All attention layers in the order in which they act, and what flows through all of them.

    `tokens` label the steps. `rollout` (T, T) goes over all `streams` side by side; it is None where the layers do not
    follow each other, and `reason` says so. `correlation` is Spearman's between the rollout and the effect of taking
    each step away. `read` are the rows of the rollout from which the answer is read.
    """

    layers: tuple[AttentionLayer, ...]
    tokens: tuple[str, ...]
    rollout: np.ndarray | None
    reason: str
    correlation: float | None
    streams: tuple[Stream, ...] = ()
    read: tuple[int, ...] = ()
    order: HeadOrder | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a network answered so. `attributions` has an array in the shape of each input (tokens: (T,); tables: a number
    for each column), and `nodes` in that of a node's output, by the node's path.

    `answer` is F(x), `ground` F(baseline). `weights` is a hash of the weights, `checkpoint` the name by which they were
    loaded, `seconds` what it took. `compared` says what the example was compared with; empty where a method does not
    compare. `labels` names the columns of a table, the channels of a series,
    and each token of a text; `axes` say what the rows and columns of a series, or of a graph, stand for.
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
    nodes: dict[str, np.ndarray] = field(default_factory=dict)
    answer: float = 0.0
    ground: float = 0.0
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0
    axes: dict[str, Axes] = field(default_factory=dict)
    compared: str = ""

    @property
    def headline(self) -> str:
        """What is explained, by which method, and compared with what."""
        headline = f"{self.title} of {self.target.quantity}"
        return f"{headline}, compared with {self.compared}" if self.compared else headline

    def as_json(self) -> dict[str, Any]:
        """The whole explanation in plain JSON values."""
        plain = _plain(self)
        if not isinstance(plain, dict):
            raise TypeError("an explanation is written as an object")
        if self.proofs.completeness is not None:
            plain["proofs"]["completeness"]["word"] = self.proofs.completeness.word
        return plain


def as_plain(value: Any) -> Any:
    """Dataclasses and arrays as plain JSON values."""
    return _plain(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
