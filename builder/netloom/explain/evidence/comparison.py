"""Two explanations of one example side by side: how far they agree, and how strong that is against chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np

from netloom.explain.attention.rollout import spearman
from netloom.explain.core.axes import Axes
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.progress import portion
from netloom.explain.core.run import Progress, Trained, explain
from netloom.explain.core.targets import Asked

ORDERS, SHIFTS = 999, 499
TOP, TOP_SHARE = 10, 5
FEWEST = 3
# What is far from chance, and what is a strong agreement of ranks.
RARE, STRONG, SOME = 0.05, 0.7, 0.3


@dataclass(frozen=True)
class Agreement:
    """How far two rankings of `parts` parts agree. Parts that are nothing to both are left out.

    `spearman` is signed (of the sizes alone, where one of the methods knows no sign: `signed` is then False), None
    where there are too few parts, or one ranking is flat. `chance`: the share of `orders` other orders that agree at
    least as well, the own one counted in; neighbors stay neighbors in them where parts lie beside each other.
    `overlap` of the `top` strongest parts are the same; by chance alone it would be `expected`, and so many or more
    have the probability `top_chance`.
    """

    parts: int
    signed: bool
    spearman: float | None
    chance: float | None
    orders: int
    top: int
    overlap: int
    expected: float
    top_chance: float

    @property
    def sentence(self) -> str:
        """The agreement in words."""
        top = f"{self.overlap} of the top {self.top} features are the same ({self.expected:.1f} expected by chance)."
        if self.top == 1:
            top = f"The top feature is {'the same' if self.overlap else 'different'}."
        if self.spearman is None or self.chance is None:
            return f"There are too few different features to compare ranks. {top if self.parts else ''}".strip()
        what = "" if self.signed else " of the magnitudes (one of the methods gives no signs)"
        if self.chance > RARE:
            said = f"not better than chance ({self.chance:.0%} of {self.orders} permutations agree as well)"
        else:
            word = "strong" if self.spearman >= STRONG else "some" if self.spearman >= SOME else "weak"
            said = f"{word} agreement (at most {self.chance:.1%} of {self.orders} permutations agree as well)"
        return f"The rank correlation{what} is {self.spearman:+.2f}: {said}. {top}"


@dataclass(frozen=True)
class Comparison:
    """Two explanations of the same example. `differences` are the second less the first, by field or node, as they are
    shown: where `scaled`, the parts of each are shares of all its parts, as their units differ."""

    first: Explanation
    second: Explanation
    agreement: Agreement
    scaled: bool
    differences: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The parts of both on one scale."""
        return shown(self.first, scaled=self.scaled), shown(self.second, scaled=self.scaled)

    @property
    def bounds(self) -> dict[str, float]:
        """The greatest size of any part of both, by field or node: the end of the color scale that they share."""
        return bounds(self.pair, self.first.axes)

    def as_json(self) -> dict[str, Any]:
        """The comparison in plain JSON values."""
        agreement = {**asdict(self.agreement), "sentence": self.agreement.sentence}
        differences = {name: values.tolist() for name, values in self.differences.items()}
        both = {"first": self.first.as_json(), "second": self.second.as_json()}
        return {**both, "agreement": agreement, "scaled": self.scaled, "differences": differences}


@dataclass(frozen=True)
class Side:
    """One of the two: a network by a method. `folder` is that of its run, where explanations are kept."""

    trained: Trained
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    checkpoint: str = ""


def side_by_side(
    first: Side,
    second: Side,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: Asked = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Explain one example twice and compare. Both explain the same number: what was asked, or the first's answer.

    Raises:
        ExplainError: the two cannot be compared, or one of them cannot be had.
    """
    data, other = first.trained.data.schema, second.trained.data.schema
    if data.target.classes != other.target.classes or data.target.kind != other.target.kind:
        raise ExplainError(
            f"The two networks have different targets: one predicts {data.target.name}, the other "
            f"{other.target.name} with other classes. Choose two runs on the same dataset."
        )
    found: list[Explanation] = []
    for place, side in enumerate((first, second)):
        asked = found[0].target if found else target
        found.append(
            explain(
                side.trained,
                side.method,
                row_or_raw,
                target=asked,
                seed=seed,
                folder=side.folder,
                checkpoint=side.checkpoint,
                progress=portion(progress, place, 1, 2),
                **side.options,
            )
        )
    return compare(*found, seed=seed)


def compare(first: Explanation, second: Explanation, *, seed: int = 0) -> Comparison:
    """How two explanations agree.

    Raises:
        ExplainError: they are not about the same example, number or parts.
    """
    refusal = _refusal(first, second)
    if refusal:
        raise ExplainError(refusal)
    kinds = registry()[first.method], registry()[second.method]
    scaled = first.method != second.method and not (kinds[0].adds_up and kinds[1].adds_up)
    agreement = agree(first, second, seed=seed)
    one, other = shown(first, scaled=scaled), shown(second, scaled=scaled)
    return Comparison(first, second, agreement, scaled, {name: other[name] - one[name] for name in one})


def agree(first: Explanation, second: Explanation, *, seed: int = 0, chance: bool = True) -> Agreement:
    """The agreement of two explanations with the same parts; without `chance` that is not drawn, and said to be 1."""
    signed = all(registry()[found.method].signed and found.attention is None for found in (first, second))
    # What a network wrote itself as the beginning of its answer is no part that both have.
    names = [name for name in _parts(first) if first.labels.get(name) == second.labels.get(name)]
    one, other = (_ranked(found, names, signed=signed) for found in (first, second))
    along = any(len(values.shape) > 1 for values in _parts(first).values())
    return agreement(one, other, signed=signed, along=along, seed=seed, chance=chance)


def agreement(
    one: np.ndarray, other: np.ndarray, *, signed: bool = True, along: bool = False, seed: int = 0, chance: bool = True
) -> Agreement:
    """How two rankings (parts,) agree. `along`: neighbors in reading order stay so, as chance turns a ring."""
    kept = (one != 0) | (other != 0)
    one, other = one[kept], other[kept]
    parts = len(one)
    top = max(1, min(TOP, parts // TOP_SHARE)) if parts else 0
    overlap = len(set(_strongest(one, top)) & set(_strongest(other, top)))
    rank = spearman(one, other) if parts >= FEWEST else None
    others = _others(parts, along=along, seed=seed) if rank is not None and chance else np.empty((0, parts), int)
    share = _share(one, other, others, rank) if rank is not None else None
    expected = top * top / parts if parts else 0.0
    return Agreement(parts, signed, rank, share, len(others), top, overlap, expected, _tail(parts, top, overlap))


def bounds(
    maps: tuple[Mapping[str, np.ndarray], ...] | list[Mapping[str, np.ndarray]], axes: Mapping[str, Axes] | None = None
) -> dict[str, float]:
    """The greatest size of any part in several maps, by field, as they are drawn: one color scale for all. It is the
    same for all pictures, and for all tables and texts; each series has its own. Channels of pictures are summed up,
    and so are the pieces of what is drawn in pieces."""
    found: dict[str, float] = {}
    for parts in maps:
        for name, values in parts.items():
            drawn = values.sum(0) if values.ndim == 3 else values
            if axes and name in axes:
                drawn = axes[name].drawn(values.reshape(len(values), -1))
            found[name] = max(found.get(name, 0.0), float(np.abs(drawn).max(initial=0.0)))
    sizes = {name: values.ndim for parts in maps for name, values in parts.items()}
    alike = {name: [other for other in found if other == name or sizes[name] == sizes[other] != 2] for name in found}
    return {name: max(found[other] for other in alike[name]) or 1.0 for name in found}


def shown(found: Explanation, *, scaled: bool = False) -> dict[str, np.ndarray]:
    """The parts of an explanation, by field or node; as shares of all parts, where `scaled`."""
    parts = _parts(found)
    total = sum(float(np.abs(values).sum()) for values in parts.values()) if scaled else 1.0
    return {name: values / (total or 1.0) for name, values in parts.items()}


def _parts(found: Explanation) -> dict[str, np.ndarray]:
    """What was found for the input; for the methods that look within, for the node; for attention, its weights."""
    if found.attributions:
        return found.attributions
    if found.nodes:
        return found.nodes
    return {layer.name: layer.weights.mean(0) for layer in found.attention.layers} if found.attention else {}


def _ranked(found: Explanation, names: list[str], *, signed: bool) -> np.ndarray:
    """The parts that are ranked, (parts,): pixels with all their channels, and tokens without padding."""
    listed = []
    for name in names:
        flat = np.asarray(_parts(found)[name], dtype=np.float64)
        flat = flat.sum(0) if flat.ndim == 3 else flat
        flat = flat[real(found, name, flat.shape)]
        listed.append(flat if signed else np.abs(flat))
    return np.concatenate(listed) if listed else np.zeros(0)


def real(found: Explanation, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Which parts of a field, or of a layer's attention, belong to the example, in their shape: all but padding."""
    labels = found.labels.get(name, ())
    if name in found.attributions and shape == (len(labels),):
        return np.array([bool(label) for label in labels], dtype=bool)
    if found.attention is not None and name not in found.attributions:
        layers = {layer.name: layer for layer in found.attention.layers}
        layer, tokens = layers[name], found.attention.tokens
        sides = (layer.looking or tokens, layer.looked_at or tokens)
        down, across = (np.array([bool(token) for token in side], dtype=bool) for side in sides)
        if shape == (len(down), len(across)):
            found_there: np.ndarray = down[:, None] & across
            return found_there
    return np.ones(shape, dtype=bool)


def _refusal(first: Explanation, second: Explanation) -> str:
    """Why two explanations cannot be compared; empty where they can."""
    if first.target.name != second.target.name or first.target.quantity != second.target.quantity:
        said = f"one explains {first.target.quantity}, the other {second.target.quantity}"
        return f"The explanations have different targets: {said}. Choose the same target for both."
    one, other = _parts(first), _parts(second)
    kinds = [bool(found.attributions) for found in (first, second)]
    if kinds[0] != kinds[1]:
        within = first.title if not kinds[0] else second.title
        return f"{within} explains a layer and the other method the input, so their attributions cannot be compared."
    if not one or {name: value.shape for name, value in one.items()} != {k: v.shape for k, v in other.items()}:
        sizes = [
            ", ".join(f"{name} {' × '.join(map(str, v.shape))}" for name, v in parts.items()) for parts in (one, other)
        ]
        return (
            f"The inputs differ: one has {sizes[0] or 'nothing'}, the other {sizes[1] or 'nothing'}. Choose runs whose "
            "networks read the same fields of the same dataset, or, for layers, the same layer."
        )
    if first.labels != second.labels or not _same_example(first, second):
        return "The inputs differ: the explanations are of different examples. Choose the same row of the same dataset."
    return ""


def _same_example(first: Explanation, second: Explanation) -> bool:
    one, other = first.example, second.example
    if (one.columns, one.text, one.tokens) != (other.columns, other.text, other.tokens):
        return False
    if one.images.keys() != other.images.keys():
        return False
    pairs = [(one.image, other.image), (one.series, other.series)]
    pairs += [(one.images[name], other.images[name]) for name in one.images]
    return all(_same(*pair) for pair in pairs)


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return np.shape(one) == np.shape(other) and bool(np.allclose(one, other))


def _strongest(values: np.ndarray, count: int) -> list[int]:
    found: list[int] = np.argsort(-np.abs(values), kind="stable")[:count].tolist()
    return found


def _others(parts: int, *, along: bool, seed: int) -> np.ndarray:
    """Other orders of the parts, (orders, parts): all where they are few, else some by chance; of parts that are
    neighbors only those in which they stay so."""
    places, random = np.arange(parts), np.random.default_rng(seed)
    if along:
        turned = [np.roll(way, shift) for way in (places, places[::-1]) for shift in range(parts)][1:]
        if len(turned) > SHIFTS:
            turned = [turned[place] for place in random.choice(len(turned), SHIFTS, replace=False)]
        return np.array(turned)
    if factorial(min(parts, 10)) <= ORDERS:
        return np.array(list(permutations(range(parts)))[1:])
    return np.array([random.permutation(parts) for _ in range(ORDERS)])


def _share(one: np.ndarray, other: np.ndarray, others: np.ndarray, rank: float) -> float:
    """The share of orders, the own one counted in, that agree at least as well."""
    if not len(others):
        return 1.0
    from scipy.stats import rankdata

    # Not `scipy.stats.permutation_test`: it draws from all orders, and here some alone are admitted.
    first, second = (rankdata(values) - (len(values) + 1) / 2 for values in (one, other))
    size = float(np.sqrt((first @ first) * (second @ second)))
    found = second[others] @ first / size
    return (1 + int((found >= rank - 1e-9).sum())) / (1 + len(others))


def _tail(parts: int, top: int, overlap: int) -> float:
    """How likely `overlap` or more of `top` parts are the same by chance (hypergeometric)."""
    if not parts:
        return 1.0
    from scipy.stats import hypergeom

    return float(hypergeom.sf(overlap - 1, parts, top, top))
