"""Possible label errors: the training rows with the highest influence on their own loss, by TracInCP.

Pruthi et al. 2020, https://arxiv.org/abs/2002.08484.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.explain.core.checkpoint_path import Stage, Trained, checkpoint_path, snapshot_names
from netloom.explain.influence.tracin import (
    InfluentialRow,
    check_available,
    check_quality,
    describe_parameters,
    describe_rows,
    load_weights,
    plain_values,
    sampled_gradients,
)


@dataclass(frozen=True)
class PossibleLabelErrors:
    """Training rows by descending self-influence.

    A row with a high self-influence was memorized against the evidence of the other rows, as mislabeled rows are.
    `rows`, `self_influence` and `loss` are arrays (N,) in this order.
    """

    rows: np.ndarray
    self_influence: np.ndarray
    loss: np.ndarray
    top_rows: tuple[InfluentialRow, ...]
    stages: tuple[Stage, ...]
    parameters: str
    training_rows: int
    sentence: str
    weights: str = ""
    seconds: float = 0.0
    labels: tuple[str, ...] = field(default=())
    predictions: tuple[str, ...] = field(default=())

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        return plain_values(self)


def find_label_errors(
    trained: Trained, *, folder: Path | None = None, checkpoint: str = "", most: int = 60, progress: Any = None
) -> PossibleLabelErrors:
    """Rank training rows by self-influence, so that likely label errors come first.

    `most` rows are described in words; the other arguments are those of `influence`.

    Raises:
        ExplainError: The loss is not defined for single rows.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    check_available(trained)
    weights = cache.weights_hash(trained.model)
    name = cache.key(weights, {}, {"suspects": 1, "most": most, "used": checkpoint, "way": snapshot_names(folder)})
    cached = cache.load_as(PossibleLabelErrors, folder, name) if folder else None
    if cached is not None:
        return cached
    stages = checkpoint_path(trained, folder, checkpoint)
    gradients, rows = sampled_gradients(trained, progress, len(stages))
    gradients.simplify(rows)
    gradients.expect_rows(len(rows) * len(stages))
    total, losses = np.zeros(len(rows)), np.zeros(len(rows))
    for stage, path in stages:
        load_weights(gradients, trained, path)
        squared, loss = gradients.squares(rows)
        # The influence of a row on itself: the dot product of its gradient with itself
        total += stage.learning_rate * squared
        losses += loss / len(stages)
    # Gradients are those of single rows; in training, each row has a weight in the loss.
    total *= gradients.counts(rows)
    load_weights(gradients, trained, None)
    order = np.argsort(-total, kind="stable")
    descriptions = describe_rows(trained, gradients, rows[order])
    listed = [
        InfluentialRow(int(rows[index]), float(total[index]), float(losses[index]), *descriptions[number])
        for number, index in enumerate(order[:most])
    ]
    quality = check_quality(trained, weights)
    result = PossibleLabelErrors(
        rows[order],
        total[order],
        losses[order],
        tuple(listed),
        tuple(stage for stage, _ in stages),
        describe_parameters(gradients),
        len(trained.data.split["train"]),
        f"{quality.sentence if quality else ''} {_describe_checkpoints(len(stages))}".strip(),
        weights,
        perf_counter() - start,
        tuple(label for label, _, _ in descriptions),
        tuple(prediction for _, prediction, _ in descriptions),
    )
    if folder:
        cache.save(folder, name, result)
    return result


def _describe_checkpoints(stages: int) -> str:
    source = f"{stages} checkpoints" if stages > 1 else "1 checkpoint, so early training is not covered"
    return (
        f"Based on {source}. A row with a much higher self-influence than others was memorized: its label may be "
        "wrong, or it is rare or difficult. Check each row before you change it."
    )
