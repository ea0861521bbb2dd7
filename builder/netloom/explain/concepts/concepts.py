"""TCAV: test whether a network encodes a concept that people define by rows, where, and for which targets it matters.

At a node, a linear classifier separates rows with the concept from other rows; its normal is the concept activation
vector. The TCAV score of a class is the fraction of its rows whose score increases along the vector. A score alone is
not evidence, so it is compared with the scores of random concepts, and the classifier is tested on held-out rows.

Kim et al. 2018, https://arxiv.org/abs/1711.11279. Added to the paper: activations are pooled, and a concept counts only
if its classifier is accurate on held-out rows and its effect on the score is not small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.core.text import counted
from netloom.explain.concepts.concept_activation_vectors import (
    MAX_CLASS_ROWS,
    Direction,
    ProgressCounter,
    collect_activations,
    collect_gradients,
    concept_direction,
    random_halves,
    score_deviation,
    welch_p_value,
)
from netloom.explain.concepts.concept_definition import ConceptDefinition, concept_rows
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.network.cost import measure_network
from netloom.explain.core.network.nodes import InnerNode, find_node, top_level_nodes
from netloom.explain.core.request import ExplanationRequest, Trained, build_context
from netloom.explain.evidence.model_check import model_check
from netloom.layers import layer_class

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.explain.core.explanation import Target

URL = "https://arxiv.org/abs/1711.11279"
MIN_ROWS, MAX_CONCEPT_ROWS, MAX_OTHER_ROWS = 12, 300, 1_000
MAX_NODES, MAX_TARGETS = 4, 10
MIN_ACCURACY, MAX_P_VALUE = 0.65, 0.05
# Cohen's threshold for a small effect (d = 0.2).
MIN_STRENGTH = 0.2
Word = Literal["for", "against", "unused", "absent"]
WORDS: dict[Word, str] = {
    "for": "increases the score",
    "against": "decreases the score",
    "unused": "encoded, little effect",
    "absent": "not encoded",
}


@dataclass(frozen=True)
class ConceptScore:
    """The TCAV score of a concept at one node for one target.

    `score` is the mean of `scores`, one for each sample of rows without the concept. `low` to `high` is the central 95%
    of the scores of random concepts. `p_value` is the two-sided p-value, corrected for the number of tests in the
    table. `accuracy` and `random_accuracy` are on held-out rows. `strength` is the change of the target score from rows
    without to rows with the concept, in standard deviations of the score.
    """

    node: str
    title: str
    target: str
    score: float
    scores: tuple[float, ...]
    random_scores: tuple[float, ...]
    low: float
    high: float
    p_value: float
    accuracy: float
    random_accuracy: float
    strength: float
    word: Word

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        accuracy = f"accuracy {self.accuracy:.0%}, random rows {self.random_accuracy:.0%}"
        if self.word == "absent":
            return f"{self.title} does not encode the concept: {accuracy}."
        effect = (
            f"TCAV score {self.score:.0%} (random concepts {self.low:.0%} to {self.high:.0%}, p = {self.p_value:.2g}), "
            f"strength {self.strength:+.2f} σ"
        )
        if self.word == "unused":
            return f"{self.title} encodes the concept ({accuracy}), with little effect on {self.target}: {effect}."
        verb = "increases" if self.word == "for" else "decreases"
        return f"In {self.title}, the concept {verb} the score of {self.target}: {effect}; {accuracy}."


@dataclass(frozen=True)
class Concepts:
    """The TCAV scores of a concept at several nodes for several targets.

    `rows` are the rows with the concept that were used, out of `available_rows`; `other_rows` is the number of rows
    without it. `model` says what is wrong with the network itself, or is empty.
    """

    concept: str
    rows: tuple[int, ...]
    available_rows: int
    other_rows: int
    repeats: int
    scores: tuple[ConceptScore, ...]
    weights: str = ""
    seconds: float = 0.0
    model: str = ""

    def as_json(self) -> JsonObject:
        """Return plain JSON values that include the sentence of each verdict."""
        plain = asdict(self)
        for entry, score in zip(plain["scores"], self.scores, strict=True):
            entry["sentence"] = score.sentence
        return plain


def unavailable_reason(trained: Trained) -> str:
    """Return why TCAV is unavailable for this network, as a sentence; empty if it is available."""
    from netloom.explain.core.requirements import not_inspectable, nothing_to_explain

    if reason := nothing_to_explain(trained.project) or not_inspectable(trained.model):
        return reason
    if trained.data.schema.target.type.is_per_position:
        return "TCAV needs a single score, and this network has one for every position of a text."
    if trained.data.schema.target.type.is_action:
        return "TCAV needs rows of a dataset, and this agent was trained on steps of episodes."
    return "" if default_nodes(trained) else "This network does not have a layer before its output."


def default_nodes(trained: Trained) -> list[InnerNode]:
    """Return at most `MAX_NODES` evenly spaced nodes, from first to last, through which all information flows."""
    from netloom.compile.logit_network import with_logits

    nodes = top_level_nodes(trained.project, with_logits(trained.project, trained.model, trained.data.schema))
    candidates = [node for node in nodes[:-1] if node.cut and layer_class(node.type).makes_representation] or nodes[:-1]
    if len(candidates) <= MAX_NODES:
        return candidates
    return [
        candidates[index] for index in np.unique(np.linspace(0, len(candidates) - 1, MAX_NODES).round().astype(int))
    ]


def concepts(
    trained: Trained,
    concept: ConceptDefinition,
    *,
    nodes: Sequence[str] = (),
    targets: Sequence[str] = (),
    repeats: int = 20,
    seed: int = 0,
    folder: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Concepts:
    """Compute TCAV scores with significance tests for a concept.

    `nodes` are paths; by default, `default_nodes` are tested for the first `MAX_TARGETS` classes. `repeats` concept
    vectors are fitted, each against another sample of rows without the concept, and as many for random concepts.

    Raises:
        ExplainError: Too few rows have or lack the concept, or a node, class or row does not exist.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    if reason := unavailable_reason(trained):
        raise ExplainError(f"Concepts cannot be tested in this network: {reason}")
    layers = [find_node(trained.project, trained.model, path) for path in nodes] or default_nodes(trained)
    names = list(targets) or _default_targets(trained)
    weights = cache.weights_hash(trained.model)
    question = {"concept": asdict(concept), "nodes": [node.path for node in layers], "targets": names}
    name = cache.key(weights, {}, question | {"repeats": repeats, "seed": seed})
    cached = cache.load_as(Concepts, folder, name) if folder else None
    if cached is not None:
        return cached
    rows = concept_rows(trained.data, concept)
    sides = _positive_and_negative_rows(trained.data, rows, seed)
    counter = ProgressCounter(
        progress, len(layers) * (len(sides[0]) + len(sides[1]) + MAX_CLASS_ROWS * len(names) + 20 * repeats)
    )
    scores: list[ConceptScore] = []
    for node in layers:
        scores += _score_node(trained, node, names, sides, repeats, seed, counter)
    scores = [_with_verdict(score, len(scores)) for score in scores]
    check_model = model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )
    result = Concepts(
        concept.title,
        tuple(int(row) for row in sides[0]),
        len(rows),
        len(sides[1]),
        repeats,
        tuple(scores),
        weights,
        perf_counter() - start,
        check_model.sentence if check_model else "",
    )
    if folder:
        cache.save(folder, name, result)
    return result


def _positive_and_negative_rows(data: Prepared, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample rows with the concept and rows without it.

    Raises:
        ExplainError: One side has fewer than `MIN_ROWS` rows.
    """
    without_concept = np.setdiff1d(np.arange(data.schema.rows), rows)
    if len(rows) < MIN_ROWS:
        raise ExplainError(
            f"TCAV needs {MIN_ROWS} rows with the concept, but only {counted(len(rows), 'row')} matched; define it "
            "more widely."
        )
    if len(without_concept) < MIN_ROWS:
        raise ExplainError(
            f"TCAV needs {MIN_ROWS} rows without the concept, but only {len(without_concept)} remain; define it "
            "more narrowly."
        )
    random = np.random.default_rng(seed)
    sampled = [
        random.choice(side, min(len(side), most), replace=False)
        for side, most in ((rows, MAX_CONCEPT_ROWS), (without_concept, MAX_OTHER_ROWS))
    ]
    return np.sort(sampled[0]), np.sort(sampled[1])


def _default_targets(trained: Trained) -> list[str]:
    from netloom.explain.core.targets import target_names

    target = trained.data.schema.target
    names = target_names(trained.data, trained.project.training) or target.classes
    # Without names, the default target is tested.
    return list(names[:MAX_TARGETS]) or [""]


def _score_node(
    trained: Trained,
    node: InnerNode,
    names: list[str],
    sides: tuple[np.ndarray, np.ndarray],
    repeats: int,
    seed: int,
    progress: ProgressCounter,
) -> list[ConceptScore]:
    """Compute the scores of all targets at one node."""
    from netloom.explain.core.activation_hook import hook_layer

    data = trained.data
    context, _, _ = build_context(
        trained.project, trained.model, data, ExplanationRequest("", int(sides[0][0]), names[0] or None)
    )
    hooked = hook_layer(context, node)
    positive, negative = (collect_activations(context, hooked, rows, progress) for rows in sides)
    # The regularization of the classifier depends on the scale of its features, so activations get unit variance.
    scale = float(np.concatenate([positive, negative]).std()) or 1.0
    positive, negative = positive / scale, negative / scale
    random = np.random.default_rng(seed)
    # Many classifiers on different samples: a single vector may be a chance separation.
    directions = [concept_direction(positive, negative, random) for _ in range(repeats)]
    progress(10 * repeats)
    activations = np.concatenate([positive, negative])
    # Random concepts separate two random sets of the same rows, as large as the sets of the concept.
    random_directions = [
        concept_direction(*random_halves(activations, min(len(positive), len(negative)), random), random)
        for _ in range(repeats)
    ]
    progress(10 * repeats)
    concept_scores = []
    for name in names:
        target = _target(trained, int(sides[0][0]), name)
        # The classifiers are fitted to activations divided by `scale`, so the gradient is multiplied by it.
        slopes = collect_gradients(context, hooked, target, _target_rows(data, name, seed), progress) * scale
        deviation = score_deviation(context, target, sides, progress)
        concept_scores.append(_concept_score(node, target.name, slopes, directions, random_directions, deviation))
    return concept_scores


def _concept_score(
    node: InnerNode,
    target_name: str,
    slopes: np.ndarray,
    directions: Sequence[Direction],
    random_directions: Sequence[Direction],
    deviation: float,
) -> ConceptScore:
    """Compute the score of a target, without the verdict, from the gradients `slopes` (N, units) of its rows."""
    scores, random_scores = (
        [float((slopes @ direction > 0).mean()) for direction, _, _ in vectors]
        for vectors in (directions, random_directions)
    )
    # To first order, the change of the score on the way from rows without to rows with the concept
    effects = [float((slopes @ direction).mean()) * gap for direction, _, gap in directions]
    low, high = np.percentile(random_scores, [2.5, 97.5])
    return ConceptScore(
        node.path,
        node.title,
        target_name,
        float(np.mean(scores)),
        tuple(scores),
        tuple(random_scores),
        float(low),
        float(high),
        welch_p_value(scores, random_scores),
        float(np.mean([accuracy for _, accuracy, _ in directions])),
        float(np.mean([accuracy for _, accuracy, _ in random_directions])),
        float(np.mean(effects)) / deviation,
        "absent",
    )


def _with_verdict(score: ConceptScore, tests: int) -> ConceptScore:
    """Add the verdict and correct p for the number of tests (Bonferroni)."""
    p = min(1.0, score.p_value * tests)
    word: Word = "for" if score.strength > 0 else "against"
    if score.accuracy < MIN_ACCURACY or score.accuracy <= score.random_accuracy:
        word = "absent"
    # The score counts signs and the strength averages sizes; if they point in opposite directions, neither is evidence.
    elif p > MAX_P_VALUE or abs(score.strength) < MIN_STRENGTH or (score.score > 0.5) != (score.strength > 0):
        word = "unused"
    return replace(score, p_value=p, word=word)


def _target(trained: Trained, row: int, name: str) -> Target:
    request = ExplanationRequest("", row, name or None)
    context, _, _ = build_context(trained.project, trained.model, trained.data, request)
    # The pixels of one example are not those of the others.
    return replace(context.target, places=())


def _target_rows(data: Prepared, name: str, seed: int) -> np.ndarray:
    """Sample rows of the target class, from the test split if it has at least `MIN_ROWS` of them."""
    rows = data.split["test"].numpy()
    target = data.schema.target
    if target.type.is_label_set and name in target.classes:
        class_rows = concept_rows(data, ConceptDefinition("class", name))
        test_rows = np.intersect1d(rows, class_rows)
        rows = test_rows if len(test_rows) >= MIN_ROWS or not len(class_rows) else class_rows
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, min(len(rows), MAX_CLASS_ROWS), replace=False))
