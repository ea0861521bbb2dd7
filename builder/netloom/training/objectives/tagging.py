"""Sequence tagging, and the entities that tags mark."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from netloom.modalities.encoding.tags import IGNORE, spans
from netloom.tasks import tagging
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, ScoreRow, Worst
from netloom.training.objectives.losses import StepCrossEntropy
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training

Spans = set[tuple[int, int, str]]


class Tagging(StepCrossEntropy):
    """Cross-entropy over logits (N, T, tags) and tag numbers (N, T); ignores positions without a word.

    Tags mark entities in the BIO scheme: B-place begins an entity, I-place continues it, O is outside. An entity is
    correct if its first word, last word and type are.
    """

    task = tagging.Tagging()
    # Per tag (tags,): the entity type that it marks (0: none), and whether it begins an entity; set by `marked`.
    _kinds: torch.Tensor | None = None
    _begins: torch.Tensor | None = None

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        return super().configured(training, data, device).marked(data.schema.target.classes, device)

    def marked(self, tags: Sequence[str], device: str = "cpu") -> Self:
        """Return this objective with the names of the tags, so that it computes entity metrics, too."""
        import torch

        marked = copy.copy(self)
        marks = [tag.partition("-") for tag in tags]
        kinds = {kind: number for number, kind in enumerate(dict.fromkeys(kind for _, _, kind in marks), 1)}
        marked._kinds = torch.tensor(
            [kinds[kind] if mark in ("B", "I") else 0 for mark, _, kind in marks], device=device
        )
        marked._begins = torch.tensor([mark == "B" for mark, _, _ in marks], device=device)
        return marked

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        scores = super().scores(output, target)
        if self._kinds is None or self._begins is None:
            return scores
        true, predicted = (
            entities(tags, target != IGNORE, self._kinds, self._begins) for tags in (target, output.argmax(2))
        )
        hits = ((true == predicted) & (true > 0)).sum()
        return Scores({**scores.sums, "hits": hits, "called": (true > 0).sum() + (predicted > 0).sum()}, scores.count)

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        metrics = {name: means[name] for name in ("loss", "accuracy")}
        if "called" in means:
            # The means have the same divisor, which cancels in the ratio of the sums.
            metrics["entity_f1"] = 2 * means["hits"] / means["called"] if means["called"] else 0.0
        return metrics

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.tag_of_word(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from torch.nn import functional

        classes, target = data.schema.target.classes, data.target[rows]
        losses = functional.cross_entropy(output.transpose(1, 2), target, ignore_index=IGNORE, reduction="none")
        is_tagged = target != IGNORE
        by_row = losses.sum(1) / is_tagged.sum(1).clamp(min=1)
        predicted = output.argmax(2)
        true_tags = [_names(line[mask].tolist(), classes) for line, mask in zip(target, is_tagged, strict=True)]
        predicted_tags = [_names(line[mask].tolist(), classes) for line, mask in zip(predicted, is_tagged, strict=True)]
        true_spans, predicted_spans = [spans(tags) for tags in true_tags], [spans(tags) for tags in predicted_tags]
        precision, recall, f1 = entity_scores(true_spans, predicted_spans)
        worst = by_row.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "entity_f1": f1,
                "entity_precision": precision,
                "entity_recall": recall,
                "accuracy": float((predicted == target)[is_tagged].float().mean()),
                "loss": float(losses.sum() / is_tagged.sum()),
            },
            classes=classes,
            report=_report(true_spans, predicted_spans),
            worst=[
                Worst(int(rows[i]), float(by_row[i]), " ".join(true_tags[i]), " ".join(predicted_tags[i]), None)
                for i in worst
            ],
            panels=[
                {
                    "row": int(rows[i]),
                    "group": "Worst",
                    "caption": f"loss {float(by_row[i]):.3g} per word",
                    "parts": [
                        {
                            "title": title,
                            "kind": "tags",
                            "words": list(data.example(int(rows[i])).tokens[: len(tags[i])]),
                            "values": tags[i],
                        }
                        for title, tags in (("True", true_tags), ("Predicted", predicted_tags))
                    ],
                }
                for i in worst[:8]
            ],
        )


def entities(tags: torch.Tensor, mask: torch.Tensor, kinds: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
    """Return a number above 0 for each position (N, T) at which an entity begins, which encodes its type and end,
    and 0 elsewhere; two taggings agree on an entity if these numbers are equal. As
    `netloom.modalities.encoding.tags.spans`."""
    import torch
    from torch.nn import functional

    tags = tags.where(mask, torch.zeros_like(tags))  # IGNORE is not an index
    kind = kinds[tags] * mask
    # An I- tag continues the entity only after a tag of the same type; otherwise it begins one.
    goes_on = (kind > 0) & ~begins[tags] & (kind == functional.pad(kind, (1, 0))[:, :-1])
    width = kind.shape[1]
    positions = torch.arange(width, device=tags.device).expand_as(kind)
    # The end of the entity at each position: the nearest position from there on whose next one does not continue
    ends = positions.where(~functional.pad(goes_on, (0, 1))[:, 1:], torch.full_like(positions, width))
    last = ends.flip(1).cummin(1).values.flip(1)
    # Type and end in one number above 0: sums over a batch need no Python objects and no synchronization.
    return ((kind - 1) * width + last + 1) * ((kind > 0) & ~goes_on)


def entity_scores(
    true: Sequence[Spans | list[Any]], predicted: Sequence[Spans | list[Any]]
) -> tuple[float, float, float]:
    """Return precision, recall and F1 of entities (first, last, type) over all rows."""
    right = sum(
        len(set(true_spans) & set(predicted_spans)) for true_spans, predicted_spans in zip(true, predicted, strict=True)
    )
    predicted_count, true_count = sum(map(len, predicted)), sum(map(len, true))
    precision, recall = right / predicted_count if predicted_count else 0.0, right / true_count if true_count else 0.0
    return precision, recall, 2 * right / (predicted_count + true_count) if predicted_count + true_count else 0.0


def _report(true: Sequence[Any], predicted: Sequence[Any]) -> list[ScoreRow]:
    """Return the scores of each type of entity."""
    kinds = sorted({kind for row in (*true, *predicted) for _, _, kind in row})
    lines: list[ScoreRow] = []
    for kind in kinds:
        true_of_kind = [[span for span in row if span[2] == kind] for row in true]
        predicted_of_kind = [[span for span in row if span[2] == kind] for row in predicted]
        precision, recall, f1 = entity_scores(true_of_kind, predicted_of_kind)
        lines.append(
            {"class": kind, "precision": precision, "recall": recall, "f1": f1, "examples": sum(map(len, true_of_kind))}
        )
    return lines


def _names(numbers: list[int], classes: Sequence[str]) -> list[str]:
    return [classes[number] for number in numbers]
