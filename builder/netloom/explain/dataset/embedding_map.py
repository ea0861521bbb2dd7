"""Embedding maps: the activations of a layer for many rows, projected to a plane, and how well they tell labels apart.

The projection is for the eye alone: neighbors, and the score of the labels, are those in the layer itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.core.text import counted
from netloom.explain.concepts.concept_activation_vectors import ProgressCounter, collect_activations
from netloom.explain.concepts.concepts import default_nodes
from netloom.explain.core.errors import ExplainError, UnknownChoiceError
from netloom.explain.core.explanation import as_plain
from netloom.explain.core.network.nodes import InnerNode, find_node, inner_nodes
from netloom.explain.core.request import ExplanationRequest, Progress, Trained, build_context
from netloom.explain.core.row_predictions import describe_predictions
from netloom.explain.dataset.neighborhood import (
    PROJECTIONS,
    Projection,
    mean_r2,
    nearest_rows,
    project,
    trustworthiness,
    vote_accuracy,
)

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.runs import TrainedRun

Split = Literal["test", "validation", "train"]
SPLITS: tuple[Split, ...] = get_args(Split)
ROWS, MIN_ROWS, MAX_ROWS = 500, 12, 5_000


@dataclass(frozen=True)
class LayerSeparation:
    """How well the nearest other rows in a layer predict the label of a row.

    `features` is the number of pooled activations. `score` is the accuracy of their vote, for numbers the coefficient
    of determination (R²) of their mean, and None for other labels and for
    equal numbers.
    """

    path: str
    title: str
    features: int
    score: float | None


@dataclass(frozen=True)
class EmbeddingMap:
    """The rows of a split in the plane.

    Attributes:
        separation: Some layers from first to last, with the mapped one.
        chance: The score without the layer: the share of the most frequent class, or 0 for numbers.
        rows: Row numbers (N,), sampled with `seed` from the `available_rows` rows of the split.
        points: Coordinates in the plane, (N, 2).
        labels: The label of each row in words.
        predictions: The prediction of each row in words; () if it is something else than a label.
        neighbors: The numbers of the nearest rows in the layer, (N, k), the nearest first.
        trustworthiness: How far neighbors in the plane are neighbors in the layer, from 0 to 1.
        values: The labels (N,) in the units of the data if each is a number.
        is_wrong: Whether the prediction is wrong, (N,), if each row has one class that the network predicts.
        explained_variance: The share of the variance along each axis; None for t-SNE.
    """

    path: str
    title: str
    features: int
    projection: Projection
    split: Split
    available_rows: int
    seed: int
    separation: tuple[LayerSeparation, ...]
    chance: float
    rows: np.ndarray
    points: np.ndarray
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    neighbors: np.ndarray
    trustworthiness: float
    values: np.ndarray | None = None
    is_wrong: np.ndarray | None = None
    explained_variance: tuple[float, float] | None = None
    weights: str = ""
    seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """The projection, the layer and the sample in words."""
        sampled = f", sampled with seed {self.seed}" if len(self.rows) < self.available_rows else ""
        variance = ""
        if self.explained_variance is not None:
            variance = f" The two axes explain {sum(self.explained_variance):.0%} of the variance."
        return (
            f"{PROJECTIONS[self.projection]} of {counted(self.features, 'activation')} of {self.title} for "
            f"{len(self.rows):,} of {self.available_rows:,} {self.split} rows{sampled}.{variance} Trustworthiness of "
            f"the picture: {self.trustworthiness:.2f} (1: all neighbors in the picture are neighbors in the layer)."
        )

    @property
    def separation_sentence(self) -> str:
        """How well the layer separates labels, in words; "" if the layers have no score."""
        score = next(layer.score for layer in self.separation if layer.path == self.path)
        if score is None:
            return ""
        nearest = f"the {self.neighbors.shape[1]} nearest rows in this layer"
        if self.values is not None:
            return f"The mean of {nearest} predicts the target of a row with R² = {score:.2f} (0 without the layer)."
        return (
            f"A vote of {nearest} gives the right label for {score:.0%} of the rows. The most frequent label alone "
            f"would be right for {self.chance:.0%}."
        )

    def table(self) -> list[JsonObject]:
        """Return one table row for each point, as for a CSV file."""
        lines: list[JsonObject] = [
            {"row": int(row), "x": float(x), "y": float(y), "label": label}
            for row, (x, y), label in zip(self.rows, self.points, self.labels, strict=True)
        ]
        for line, prediction in zip(lines, self.predictions, strict=False):
            line["prediction"] = prediction
        return lines

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        sentences = {"sentence": self.sentence, "separation_sentence": self.separation_sentence}
        return {**as_plain(self), **sentences}


@dataclass(frozen=True)
class _Labels:
    """The labels of rows in words, as `numbers` (N,) if each is one, and the predictions, as in `EmbeddingMap`."""

    texts: tuple[str, ...]
    predictions: tuple[str, ...]
    numbers: np.ndarray | None
    is_class: bool

    @property
    def chance(self) -> float:
        return max(Counter(self.texts).values()) / len(self.texts) if self.is_class else 0.0

    @property
    def is_wrong(self) -> np.ndarray | None:
        if not self.is_class or not self.predictions:
            return None
        return np.array([label != prediction for label, prediction in zip(self.texts, self.predictions, strict=True)])

    def separated(self, node: InnerNode, activations: np.ndarray, neighbors: np.ndarray) -> LayerSeparation:
        """Return how well the neighbors (N, k) of each row by the activations (N, F) of a node predict its label."""
        score = None
        if self.is_class:
            score = vote_accuracy(neighbors, self.texts)
        elif self.numbers is not None and not np.isnan(r2 := mean_r2(neighbors, self.numbers)):
            score = r2
        return LayerSeparation(node.path, node.title, activations.shape[1], score)


def unavailable_reason(trained: Trained) -> str:
    """Return why there is no embedding map of this network, as a sentence; empty if there is one."""
    from netloom.explain.core.requirements import not_inspectable, nothing_to_explain

    if reason := nothing_to_explain(trained.project) or not_inspectable(trained.model):
        return reason
    if trained.data.schema.target.type.is_action:
        return "An embedding map needs rows of a dataset, and this agent was trained on steps of episodes."
    return "" if default_nodes(trained) else "This network does not have a layer before its output."


def embedding_map(
    trained: TrainedRun,
    path: str = "",
    *,
    projection: Projection = "pca",
    split: Split = "test",
    rows: int = ROWS,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> EmbeddingMap:
    """Project the activations of the layer at `path` to a plane, by default those of the last one before the output.

    Sequences are averaged over time, and feature maps over a coarse grid. The result is cached in `folder`, the folder
    of the run.

    Raises:
        ExplainError: The network has no such layer, or the split has too few rows.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    _check(trained, projection)
    chosen = [find_node(trained.project, trained.model, path)] if path else []
    sample, available_rows = _sample_rows(trained.data, split, rows, seed)
    weights = cache.weights_hash(trained.model)
    name = _cache_key(trained.data, weights, sample, node=path, projection=projection, split=split, seed=seed)
    if folder and (cached := cache.load_as(EmbeddingMap, folder, name)) is not None:
        return cached
    layers = _layers(trained, chosen)
    mapped = (chosen or layers)[-1]
    counter = ProgressCounter(progress, (len(layers) + 1) * len(sample))
    activations = {node.path: _activations(trained, node, sample, counter) for node in layers}
    neighbors = {node.path: nearest_rows(activations[node.path]) for node in layers}
    points, explained_variance = project(activations[mapped.path], projection, seed)
    labels = _labels(trained, sample)
    result = EmbeddingMap(
        path=mapped.path,
        title=mapped.title,
        features=activations[mapped.path].shape[1],
        projection=projection,
        split=split,
        available_rows=available_rows,
        seed=seed,
        separation=tuple(labels.separated(node, activations[node.path], neighbors[node.path]) for node in layers),
        chance=labels.chance,
        rows=sample,
        points=points,
        labels=labels.texts,
        predictions=labels.predictions,
        neighbors=sample[neighbors[mapped.path]],
        trustworthiness=trustworthiness(activations[mapped.path], points),
        values=labels.numbers,
        is_wrong=labels.is_wrong,
        explained_variance=explained_variance,
        weights=weights,
        seconds=perf_counter() - start,
    )
    if folder:
        cache.save(folder, name, result)
    return result


def _check(trained: Trained, projection: Projection) -> None:
    if reason := unavailable_reason(trained):
        raise ExplainError(f"There is no embedding map of this network: {reason}")
    if projection not in PROJECTIONS:
        raise UnknownChoiceError(f"There is no projection {projection!r}; choose one of {', '.join(PROJECTIONS)}.")


def _cache_key(data: Prepared, weights: str, rows: np.ndarray, **settings: str | int) -> str:
    from netloom.explain.core import cache

    return cache.key(weights, {}, {"embeddings": 1, **settings, "rows": rows.tolist(), "data": data.fingerprint})


def _sample_rows(data: Prepared, split: Split, most: int, seed: int) -> tuple[np.ndarray, int]:
    """Return at most `most` row numbers of a split in ascending order, and the number of its rows."""
    if split not in SPLITS:
        raise UnknownChoiceError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    rows = data.split[split].numpy()
    if len(rows) < MIN_ROWS:
        raise ExplainError(
            f"An embedding map needs at least {MIN_ROWS} rows, but the {split} split has {len(rows)}; choose another "
            "split."
        )
    size = min(max(most, MIN_ROWS), MAX_ROWS, len(rows))
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False)), len(rows)


def _layers(trained: Trained, chosen: list[InnerNode]) -> list[InnerNode]:
    """Return some layers from first to last, with the chosen one."""
    order = [node.path for node in inner_nodes(trained.project, trained.model)]
    layers = {node.path: node for node in [*default_nodes(trained), *chosen]}
    return sorted(layers.values(), key=lambda node: order.index(node.path))


def _activations(trained: Trained, node: InnerNode, rows: np.ndarray, counter: ProgressCounter) -> np.ndarray:
    """Return the pooled activations (N, F) of a node."""
    from netloom.explain.core.activation_hook import hook_layer

    request = ExplanationRequest("", int(rows[0]))
    context, _, _ = build_context(trained.project, trained.model, trained.data, request)
    activations = collect_activations(context, hook_layer(context, node), rows, counter)
    if not np.isfinite(activations).all():
        raise ExplainError(f"The activations of {node.title} are not all finite; train with a lower learning rate.")
    return activations


def _labels(trained: TrainedRun, rows: np.ndarray) -> _Labels:
    # A task without a target has labels to color the rows by, but does not predict them.
    texts = tuple(trained.data.target_text(int(row))[:200] for row in rows)
    is_class = trained.data.schema.target.type.is_class
    return _Labels(texts, _predictions(trained, rows), _numbers(trained.data, rows), is_class)


def _predictions(trained: TrainedRun, rows: np.ndarray) -> tuple[str, ...]:
    """Return the prediction of each row in words; () if the network predicts something else than the label."""
    if trained.objective.task.target is None:
        return ()
    from netloom.training.streaming import take

    inputs = take(trained.data, trained.fields, rows)
    return tuple(text for text, _ in describe_predictions(trained, trained.output(inputs), inputs))


def _numbers(data: Prepared, rows: np.ndarray) -> np.ndarray | None:
    """Return the targets of rows (N,) in the units of the data; None unless each row has one number."""
    import torch

    if not data.schema.target.type.is_number:
        return None
    values = data.restore(data.target[torch.from_numpy(rows)]).double().flatten(1).numpy()
    return np.asarray(values[:, 0]) if values.shape[1] == 1 else None
