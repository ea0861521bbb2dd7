"""Compare two explanations of one example: rank correlation and overlap of the top features, against chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.explain.attention.rollout import spearman
from netloom.explain.computation import explain
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explainer import registry
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.parts.axes import Axes
from netloom.explain.core.progress import partial_progress
from netloom.explain.core.request import Progress, Trained
from netloom.explain.core.targets import TargetLike

ORDERS, SHIFTS = 999, 499
TOP, TOP_SHARE = 10, 5
FEWEST = 3
# The significance level, and the rank correlations that count as strong and as some agreement.
RARE, STRONG, SOME = 0.05, 0.7, 0.3


@dataclass(frozen=True)
class Agreement:
    """The agreement of two rankings of `parts` features. Features that are 0 in both are excluded.

    `spearman` is the rank correlation: of the magnitudes if one of the methods has no signs (`signed` is False), None
    if there are too few features or one ranking is constant. `chance` is the fraction of `orders` permutations,
    including the observed order, that agree at least as well; permutations of spatial features keep neighbors adjacent.
    `overlap` of the `top` features are the same in both; `expected` is its mean by chance, and `top_chance` the
    probability of at least this overlap by chance.
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
        of_magnitudes = "" if self.signed else " of the magnitudes (one of the methods gives no signs)"
        if self.chance > RARE:
            agreement_text = f"not better than chance ({self.chance:.0%} of {self.orders} permutations agree as well)"
        else:
            word = "strong" if self.spearman >= STRONG else "some" if self.spearman >= SOME else "weak"
            agreement_text = f"{word} agreement (at most {self.chance:.1%} of {self.orders} permutations agree as well)"
        return f"The rank correlation{of_magnitudes} is {self.spearman:+.2f}: {agreement_text}. {top}"


@dataclass(frozen=True)
class Comparison:
    """Two explanations of the same example.

    `differences` are the second minus the first, by field or node. If `scaled`, the attributions of each are divided by
    their sum of magnitudes, because their units differ.
    """

    first: Explanation
    second: Explanation
    agreement: Agreement
    scaled: bool
    differences: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def pair(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The attributions of both on one scale, by field or node."""
        return comparable_parts(self.first, scaled=self.scaled), comparable_parts(self.second, scaled=self.scaled)

    @property
    def bounds(self) -> dict[str, float]:
        """The largest magnitude in both, by field or node: the limit of the shared color scale."""
        return color_bounds(self.pair, self.first.axes)

    def as_json(self) -> JsonObject:
        """Return the comparison as plain JSON values."""
        agreement = {**asdict(self.agreement), "sentence": self.agreement.sentence}
        differences = {name: values.tolist() for name, values in self.differences.items()}
        both = {"first": self.first.as_json(), "second": self.second.as_json()}
        return {**both, "agreement": agreement, "scaled": self.scaled, "differences": differences}


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a network and a method. `folder` is the folder of its run, where explanations are
    cached."""

    trained: Trained
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    checkpoint: str = ""


def explain_and_compare(
    first: Side,
    second: Side,
    row_or_raw: int | Mapping[str, Any],
    *,
    target: TargetLike = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Explain one example twice and compare; both explain `target`, by default the prediction of the first network.

    Raises:
        ExplainError: The two cannot be compared, or one of them is unavailable.
    """
    schema, other_schema = first.trained.data.schema, second.trained.data.schema
    if schema.target.classes != other_schema.target.classes or schema.target.kind != other_schema.target.kind:
        raise ExplainError(
            f"The two networks have different targets: one predicts {schema.target.name}, the other "
            f"{other_schema.target.name} with other classes. Choose two runs on the same dataset."
        )
    explanations: list[Explanation] = []
    for side_index, side in enumerate((first, second)):
        target_choice = explanations[0].target if explanations else target
        explanations.append(
            explain(
                side.trained,
                side.method,
                row_or_raw,
                target=target_choice,
                seed=seed,
                folder=side.folder,
                checkpoint=side.checkpoint,
                progress=partial_progress(progress, side_index, 1, 2),
                **side.options,
            )
        )
    return compare(*explanations, seed=seed)


def compare(first: Explanation, second: Explanation, *, seed: int = 0) -> Comparison:
    """Compare two explanations of the same example.

    Raises:
        ExplainError: They explain different examples, targets or features.
    """
    reason = _incomparable_reason(first, second)
    if reason:
        raise ExplainError(reason)
    methods = registry()[first.method], registry()[second.method]
    # Two complete methods are both in the units of the score and need no scaling.
    scaled = first.method != second.method and not (methods[0].is_complete and methods[1].is_complete)
    agreement = explanation_agreement(first, second, seed=seed)
    first_parts, second_parts = comparable_parts(first, scaled=scaled), comparable_parts(second, scaled=scaled)
    return Comparison(
        first, second, agreement, scaled, {name: second_parts[name] - first_parts[name] for name in first_parts}
    )


def explanation_agreement(first: Explanation, second: Explanation, *, seed: int = 0, chance: bool = True) -> Agreement:
    """Compute the agreement of two explanations with the same features; without `chance`, no permutations are drawn."""
    signed = all(
        registry()[explanation.method].signed and explanation.attention is None for explanation in (first, second)
    )
    # The start of an answer that a network generated itself differs between two networks and cannot be compared.
    names = [name for name in _explained_parts(first) if first.labels.get(name) == second.labels.get(name)]
    first_values, second_values = (_ranked_values(explanation, names, signed=signed) for explanation in (first, second))
    is_spatial = any(len(values.shape) > 1 for values in _explained_parts(first).values())
    return rank_agreement(first_values, second_values, signed=signed, is_spatial=is_spatial, seed=seed, chance=chance)


def rank_agreement(
    first: np.ndarray,
    second: np.ndarray,
    *,
    signed: bool = True,
    is_spatial: bool = False,
    seed: int = 0,
    chance: bool = True,
) -> Agreement:
    """Compute the agreement of two rankings (features,).

    With `is_spatial`, features are in reading order, and permutations are rotations that keep neighbors adjacent.
    """
    is_used = (first != 0) | (second != 0)
    first, second = first[is_used], second[is_used]
    parts = len(first)
    top = max(1, min(TOP, parts // TOP_SHARE)) if parts else 0
    overlap = len(set(_top_places(first, top)) & set(_top_places(second, top)))
    rank = spearman(first, second) if parts >= FEWEST else None
    permutations = (
        _permutations(parts, is_spatial=is_spatial, seed=seed)
        if rank is not None and chance
        else np.empty((0, parts), int)
    )
    chance_share = _chance(first, second, permutations, rank) if rank is not None else None
    # The mean of the hypergeometric distribution in `_overlap_probability`
    expected = top * top / parts if parts else 0.0
    return Agreement(
        parts,
        signed,
        rank,
        chance_share,
        len(permutations),
        top,
        overlap,
        expected,
        _overlap_probability(parts, top, overlap),
    )


def color_bounds(
    maps: tuple[Mapping[str, np.ndarray], ...] | list[Mapping[str, np.ndarray]], axes: Mapping[str, Axes] | None = None
) -> dict[str, float]:
    """Return the largest drawn magnitude over several maps, by field: the limits of a shared color scale.

    Images share one limit, and so do tables and texts; each series has its own. Channels of images are summed before,
    and so are the segments in which an axis is drawn.
    """
    bounds: dict[str, float] = {}
    for parts in maps:
        for name, values in parts.items():
            drawn = values.sum(0) if values.ndim == 3 else values
            if axes and name in axes:
                drawn = axes[name].drawn(values.reshape(len(values), -1))
            bounds[name] = max(bounds.get(name, 0.0), float(np.abs(drawn).max(initial=0.0)))
    sizes = {name: values.ndim for parts in maps for name, values in parts.items()}
    sharing = {
        name: [other_name for other_name in bounds if other_name == name or sizes[name] == sizes[other_name] != 2]
        for name in bounds
    }
    return {name: max(bounds[other_name] for other_name in sharing[name]) or 1.0 for name in bounds}


def comparable_parts(explanation: Explanation, *, scaled: bool = False) -> dict[str, np.ndarray]:
    """Return the attributions of an explanation by field or node; with `scaled`, as shares of the sum of magnitudes."""
    parts = _explained_parts(explanation)
    total = sum(float(np.abs(values).sum()) for values in parts.values()) if scaled else 1.0
    return {name: values / (total or 1.0) for name, values in parts.items()}


def _explained_parts(explanation: Explanation) -> dict[str, np.ndarray]:
    """Return the attributions of the input, of the layer for layer methods, or the mean weights for attention."""
    if explanation.attributions:
        return explanation.attributions
    if explanation.nodes:
        return explanation.nodes
    return (
        {layer.name: layer.weights.mean(0) for layer in explanation.attention.layers} if explanation.attention else {}
    )


def _ranked_values(explanation: Explanation, names: list[str], *, signed: bool) -> np.ndarray:
    """Return the ranked attributions (features,): channels of a pixel are summed, and padding is excluded."""
    values_by_name = []
    for name in names:
        flat = np.asarray(_explained_parts(explanation)[name], dtype=np.float64)
        flat = flat.sum(0) if flat.ndim == 3 else flat
        flat = flat[real_parts_mask(explanation, name, flat.shape)]
        values_by_name.append(flat if signed else np.abs(flat))
    return np.concatenate(values_by_name) if values_by_name else np.zeros(0)


def real_parts_mask(explanation: Explanation, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return which features of a field or of an attention map are not padding, as a mask of the given shape."""
    labels = explanation.labels.get(name, ())
    if name in explanation.attributions and shape == (len(labels),):
        return np.array([bool(label) for label in labels], dtype=bool)
    if explanation.attention is not None and name not in explanation.attributions:
        layers = {layer.name: layer for layer in explanation.attention.layers}
        layer, tokens = layers[name], explanation.attention.tokens
        sides = (layer.query_labels or tokens, layer.key_labels or tokens)
        down, across = (np.array([bool(token) for token in side], dtype=bool) for side in sides)
        if shape == (len(down), len(across)):
            mask: np.ndarray = down[:, None] & across
            return mask
    return np.ones(shape, dtype=bool)


def _incomparable_reason(first: Explanation, second: Explanation) -> str:
    """Return why two explanations cannot be compared; empty if they can."""
    if first.target.name != second.target.name or first.target.quantity != second.target.quantity:
        difference = f"one explains {first.target.quantity}, the other {second.target.quantity}"
        return f"The explanations have different targets: {difference}. Choose the same target for both."
    first_parts, second_parts = _explained_parts(first), _explained_parts(second)
    explains_input = [bool(explanation.attributions) for explanation in (first, second)]
    if explains_input[0] != explains_input[1]:
        layer_method = first.title if not explains_input[0] else second.title
        return (
            f"{layer_method} explains a layer and the other method the input, so their attributions cannot be compared."
        )
    if not first_parts or {name: value.shape for name, value in first_parts.items()} != {
        k: v.shape for k, v in second_parts.items()
    }:
        sizes = [
            ", ".join(f"{name} {' × '.join(map(str, v.shape))}" for name, v in parts.items())
            for parts in (first_parts, second_parts)
        ]
        return (
            f"The inputs differ: one has {sizes[0] or 'nothing'}, the other {sizes[1] or 'nothing'}. Choose runs whose "
            "networks read the same fields of the same dataset, or, for layers, the same layer."
        )
    if first.labels != second.labels or not _same_example(first, second):
        return "The inputs differ: the explanations are of different examples. Choose the same row of the same dataset."
    return ""


def _same_example(first: Explanation, second: Explanation) -> bool:
    first_example, second_example = first.example, second.example
    if (first_example.columns, first_example.text, first_example.tokens) != (
        second_example.columns,
        second_example.text,
        second_example.tokens,
    ):
        return False
    if first_example.images.keys() != second_example.images.keys():
        return False
    pairs = [(first_example.image, second_example.image), (first_example.series, second_example.series)]
    pairs += [(first_example.images[name], second_example.images[name]) for name in first_example.images]
    return all(_same(*pair) for pair in pairs)


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return np.shape(first) == np.shape(second) and bool(np.allclose(first, second))


def _top_places(values: np.ndarray, count: int) -> list[int]:
    positions: list[int] = np.argsort(-np.abs(values), kind="stable")[:count].tolist()
    return positions


def _permutations(parts: int, *, is_spatial: bool, seed: int) -> np.ndarray:
    """Return permutations of the features, (orders, features), without the identity.

    All permutations are used if they are few. Spatial features are only rotated and reversed: independent shuffles
    would break the correlation between neighbors, which also raises the agreement of unrelated maps.
    """
    positions, random = np.arange(parts), np.random.default_rng(seed)
    if is_spatial:
        # `[1:]` drops the identity, which `_chance` adds.
        rotations = [np.roll(order, shift) for order in (positions, positions[::-1]) for shift in range(parts)][1:]
        if len(rotations) > SHIFTS:
            rotations = [rotations[index] for index in random.choice(len(rotations), SHIFTS, replace=False)]
        return np.array(rotations)
    # 10! exceeds the limit already, so larger factorials are not computed. `[1:]` drops the identity.
    if factorial(min(parts, 10)) <= ORDERS:
        return np.array(list(permutations(range(parts)))[1:])
    return np.array([random.permutation(parts) for _ in range(ORDERS)])


def _chance(first_values: np.ndarray, second_values: np.ndarray, permutations: np.ndarray, rank: float) -> float:
    """Return the fraction of permutations, including the observed order, that agree at least as well."""
    if not len(permutations):
        return 1.0
    from scipy.stats import rankdata

    # `scipy.stats.permutation_test` samples from all orders and cannot be restricted to rotations.
    first_ranks, second_ranks = (rankdata(values) - (len(values) + 1) / 2 for values in (first_values, second_values))
    size = float(np.sqrt((first_ranks @ first_ranks) * (second_ranks @ second_ranks)))
    correlations = second_ranks[permutations] @ first_ranks / size
    # With the tolerance, rounding does not count a tie as worse.
    return (1 + int((correlations >= rank - 1e-9).sum())) / (1 + len(permutations))


def _overlap_probability(parts: int, top: int, overlap: int) -> float:
    """Compute the probability that at least `overlap` of `top` features coincide by chance (hypergeometric
    distribution)."""
    if not parts:
        return 1.0
    from scipy.stats import hypergeom

    return float(hypergeom.sf(overlap - 1, parts, top, top))
