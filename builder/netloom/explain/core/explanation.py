"""Explanations and their checks as values that can be displayed, compared and saved as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.data import Example
from netloom.data.boxes import ImageObject
from netloom.explain.core.parts.axes import Axes

Level = Literal["good", "caution", "poor"]
LEVELS: tuple[Level, ...] = ("good", "caution", "poor")
# The largest relative completeness error for each word.
COMPLETENESS_BOUNDS = (("exact", 1e-4), ("converged", 0.01), ("approximate", 0.05))


TargetQuantity = Literal[
    "class",
    "value",
    "number",
    "next_token",
    "error",
    "mask",
    "object",
    "tags",
    "label",
    "binary",
    "distance",
    "raw",
    "head",
]


@dataclass(frozen=True)
class Target:
    """The explained number of the network's output.

    The kinds are: the logit of a class; the value of an action; a number in the units of the data; the logit of a token
    or tag at a position; the mean logit of a class over the pixels `places`; the largest logit of a class over a grid;
    a reconstruction error; the logit of a label; a binary logit for or against; the distance of a pair; a raw output;
    and one of several outputs (head), whose index is `position`. `quantity` describes it in words.
    """

    kind: TargetQuantity
    index: int
    name: str
    quantity: str
    position: int | None = None
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The prediction in words, and the probability of each class (for text, of the most likely next tokens), and the
    predicted objects of an image."""

    text: str
    probabilities: dict[str, float]
    objects: tuple[ImageObject, ...] = ()


@dataclass(frozen=True)
class Completeness:
    """The completeness of attributions: their `sum`, compared with F(x) − F(baseline); `delta` is the difference.

    `relative_error` is |delta| / |F(x) − F(baseline)|, or None if both are about 0. `promised` says whether the method
    claims completeness, and `by_construction` whether the sum is right however wrong each attribution is.
    """

    sum: float
    score: float
    baseline_score: float
    delta: float
    relative_error: float | None
    steps: int | None
    promised: bool
    by_construction: bool = False

    @property
    def word(self) -> str:
        """The quality of the sum as a word; empty if completeness is not claimed or holds by construction."""
        if self.relative_error is None or not self.promised or self.by_construction:
            return ""
        return next((word for word, bound in COMPLETENESS_BOUNDS if self.relative_error <= bound), "unreliable")


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion of features by descending attribution, compared with random orders.

    The curves are those of RISE (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421). `deletion` and `insertion` are
    the means of F along them, and the fields that end in `_chance` the means over `orders` random orders. `gain` is the
    gap between the two curves. `chance` is the fraction of random orders with at least this gain. `infidelity`, from 0
    to 1, measures how badly the sum of random sets of attributions predicts the fall of F without them, independent of
    scale (Yeh et al. 2019, https://arxiv.org/abs/1901.09392); None for unsigned methods.
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
    """The mean rank correlation of the attributions with those of `draws` networks with shuffled weights.

    `passed` means that the correlation is low.
    """

    spearman: float
    draws: int
    passed: bool


@dataclass(frozen=True)
class Sampling:
    """The sampling error of a method that draws at random.

    `standard_error` is the sum over features of the standard errors of the mean of `repeats` estimates, relative to the
    sum of magnitudes; None for a single estimate. `enumerated` means that all cases were evaluated.
    """

    repeats: int
    standard_error: float | None
    enumerated: bool


@dataclass(frozen=True)
class CrossCheck:
    """Spearman's rank correlation with another method, over attributions summed in `groups`."""

    title: str
    spearman: float
    groups: int


@dataclass(frozen=True)
class Proofs:
    """The checks of an explanation. The same `seed` reproduces them."""

    completeness: Completeness | None
    faithfulness: Faithfulness | None
    seed: int
    randomization: RandomizationTest | None = None
    sampling: Sampling | None = None
    cross_check: CrossCheck | None = None


@dataclass(frozen=True)
class Remark:
    """One judgment: a level and a sentence. `check` names what was checked, or is empty."""

    level: Level
    sentence: str
    check: str = ""


# The default badge of each level.
TITLES: dict[Level, str] = {"good": "Checks passed", "caution": "Interpret with caution", "poor": "Checks failed"}
FAITHFUL_TITLES = ("Faithfulness checks passed", TITLES["good"])


@dataclass(frozen=True)
class Verdict:
    """The result of all checks: the worst level, and all sentences.

    `badge` names what was checked and never claims that the model is right; `model` says what is wrong with the model.
    """

    level: Level
    sentence: str
    badge: str = ""
    model: str = ""

    @property
    def checked(self) -> str:
        """The badge without the model."""
        return self.badge or TITLES[self.level]

    @property
    def title(self) -> str:
        """The badge with the problem of the model, in one phrase."""
        if not self.model:
            return self.checked
        return (
            f"{self.checked}, but {self.model}" if self.checked in FAITHFUL_TITLES else f"{self.checked}; {self.model}"
        )


@dataclass(frozen=True)
class AttentionLayer:
    """One attention layer with `weights` (heads, T, S): queries in rows, keys in columns.

    `query_labels` (T) and `key_labels` (S) label them, if not with `AttentionMaps.tokens`. `streams` are the indexes of
    the query and key sequence in `AttentionMaps.streams`. For each head, `effects` is F(x) − F(x without the head), and
    `slopes` its first-order estimate.
    """

    name: str
    title: str
    causal: bool
    weights: np.ndarray
    query_labels: tuple[str, ...] = ()
    key_labels: tuple[str, ...] = ()
    streams: tuple[int, ...] = (0, 0)
    effects: np.ndarray | None = None
    slopes: np.ndarray | None = None


@dataclass(frozen=True)
class Stream:
    """A sequence of queries or keys. `field` is the input with these positions, or empty.

    `grid` is (down, across) if positions are patches of an image in row-major order, after `special` other tokens such
    as a class token. `effects` (T) are F(x) − F(x without the position); None if a position cannot be removed.
    """

    field: str
    tokens: tuple[str, ...]
    grid: tuple[int, ...] = ()
    special: int = 0
    effects: tuple[float | None, ...] = ()

    @property
    def effect_array(self) -> np.ndarray:
        """The effects (T,), NaN where there is none."""
        effects = self.effects or (None,) * len(self.tokens)
        return np.array([np.nan if effect is None else effect for effect in effects])


@dataclass(frozen=True)
class HeadOrder:
    """The effect of removing heads cumulatively by descending effect, compared with `orders` random orders.

    `curve` and `random` (heads + 1) are F along the removal. `chance` is the fraction of random orders that change F at
    least as fast. `agreement` is Spearman's correlation between the effects and their first-order estimates.
    """

    orders: int
    curve: tuple[float, ...]
    random: tuple[float, ...]
    chance: float
    agreement: float | None


@dataclass(frozen=True)
class AttentionMaps:
    """All attention layers in execution order, and their combination.

    `tokens` label the positions. `rollout` (ΣT, ΣT) covers all concatenated `streams`; it is None if the layers cannot
    be combined, and `reason` says why. `correlation` is Spearman's between the rollout and the effect of removing each
    position. `output_rows` are the rows of the rollout from which the output is read.
    """

    layers: tuple[AttentionLayer, ...]
    tokens: tuple[str, ...]
    rollout: np.ndarray | None
    reason: str
    correlation: float | None
    streams: tuple[Stream, ...] = ()
    output_rows: tuple[int, ...] = ()
    head_order: HeadOrder | None = None


@dataclass(frozen=True)
class Explanation:
    """An explanation of one prediction.

    `attributions` has an array in the shape of each input (tokens (T,), tables one value per column), and `nodes` one
    in the shape of a node's output by path. `score` is F(x) and `baseline_score` F(baseline). `weights` is a hash of
    the weights, `checkpoint` their name, and `seconds` the run time. `baseline` describes the baseline, or is empty.
    `labels` names columns, channels or tokens; `axes` describes the rows and columns of a series or graph.
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
    score: float = 0.0
    baseline_score: float = 0.0
    weights: str = ""
    checkpoint: str = ""
    seconds: float = 0.0
    axes: dict[str, Axes] = field(default_factory=dict)
    baseline: str = ""

    @property
    def headline(self) -> str:
        """The target, the method and the baseline in words."""
        headline = f"{self.title} of {self.target.quantity}"
        return f"{headline}, compared with {self.baseline}" if self.baseline else headline

    def as_json(self) -> JsonObject:
        """Return the explanation as plain JSON values."""
        plain = _plain(self)
        if not isinstance(plain, dict):
            raise TypeError("an explanation is written as an object")
        if self.proofs.completeness is not None:
            # `word` is a property, which `_plain` does not write
            plain["proofs"]["completeness"]["word"] = self.proofs.completeness.word
        return plain


def as_plain(value: Any) -> Any:
    """Convert dataclasses and arrays to plain JSON values."""
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
