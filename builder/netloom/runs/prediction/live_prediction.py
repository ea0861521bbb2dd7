"""The prediction of a network for one raw row, with what a page needs to draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.data.preparation.calibrated import Decoding
from netloom.modalities.encoding.rows import Answer
from netloom.runs.prediction.trained_run import predict
from netloom.training.objectives.ranking import names_of

if TYPE_CHECKING:
    from netloom.runs.prediction.trained_run import TrainedRun

MAX_ITEMS = 10


@dataclass(frozen=True)
class RankedItem:
    """An item of a recommender with its score for a user."""

    name: str
    score: float


@dataclass(frozen=True)
class LivePrediction:
    """A prediction.

    Attributes:
        answer: The prediction in plain JSON, as in `netloom.runs.predict`.
        decoding: What the answer was decoded with, as in `TrainedRun.decoding`; its `kind` determines the keys of
            `answer`.
        reconstruction: The reconstruction of the first field, as in a raw row; None if the network does not
            reconstruct its input.
        items: The items with the highest scores for the user of the row, if the network ranks items.
    """

    answer: Answer
    decoding: Decoding
    reconstruction: Any = None
    items: tuple[RankedItem, ...] = ()


def predict_live(trained: TrainedRun, row: Mapping[str, Any]) -> LivePrediction:
    """Return the prediction for a raw row.

    Raises:
        DataError: the row lacks a column, or has an invalid value.
    """
    [answer] = predict(trained, [row])
    task, reconstruction = trained.objective.task, None
    if task.reconstructs_input:
        field = trained.data.fields[0]
        # The network may read another field than the one that it reconstructs, such as a noisy image.
        [reconstruction] = field.restore(trained.output(trained.data.encode(row, trained.fields)).numpy())
    items = top_items(trained, row) if task.scores_items else ()
    return LivePrediction(answer, trained.decoding, reconstruction, items)


def top_items(trained: TrainedRun, row: Mapping[str, Any], count: int = MAX_ITEMS) -> tuple[RankedItem, ...]:
    """Return the items with the highest scores for the user of a raw row, of all items of the training data."""
    import torch

    item = trained.data.schema.inputs[1]
    numbers = torch.arange(1, item.vocabulary or 2).unsqueeze(1)  # 0 is the number of unknown items
    user = trained.data.encode(row, trained.fields)
    inputs = {name: value.expand(len(numbers), *value.shape[1:]) for name, value in user.items()}
    scores = trained.output({**inputs, item.name: numbers}).flatten()
    best = scores.argsort(descending=True, stable=True)[:count].tolist()
    name = names_of(trained.data, 1)
    return tuple(RankedItem(name(item_index + 1), float(scores[item_index])) for item_index in best)
