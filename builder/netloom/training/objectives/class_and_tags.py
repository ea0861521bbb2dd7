"""A class for a text and a tag for each of its words, from two outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netloom.modalities.encoding.tags import IGNORE
from netloom.tasks import class_and_tags
from netloom.training.objectives.calibrated_part import CalibratedPart
from netloom.training.objectives.classification import Classification
from netloom.training.objectives.evaluation import Evaluation
from netloom.training.objectives.loss_weights import LossWeights
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.tagging import Tagging

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

# The weights of the class loss and of the tag loss.
CLASS_WEIGHT, TAG_WEIGHT = 1.0, 1.0
_CLASS, _TAGS = Classification(), Tagging()


class ClassAndTags(Objective):
    """The weighted sum of both cross-entropies, or of both focal losses.

    The outputs, classes (N, C) and tags (N, T, K), are concatenated to (N, C + T·K). The target (N, 2 + T) holds the
    number of classes, the class, and the tags.
    """

    task = class_and_tags.ClassAndTags()

    def target(self, data: Prepared) -> torch.Tensor:
        import torch

        # `loss` receives only tensors, so the target says where the classes of an output end.
        classes = torch.full((len(data.target), 1), len(data.schema.target.classes))
        return torch.cat([classes, data.target], dim=1)

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        classes, tags = _parts(output, target)
        first = self.loss_weights.entropy(classes, target[:, 1])
        of_tags = LossWeights(focal_gamma=self.loss_weights.focal_gamma)
        second = of_tags.entropy(tags.flatten(0, 1), target[:, 2:].flatten(), ignore_index=IGNORE)
        return CLASS_WEIGHT * first + TAG_WEIGHT * second

    def partial_loss(self, output: torch.Tensor, target: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
        # The class loss is a mean over rows or their class weights, the tag loss one over words.
        classes, tags = _parts(output, target)
        first = self.loss_weights.entropy(classes, target[:, 1])
        first = first * (self.loss_weights.mass(target[:, 1]) / self.loss_weights.mass(whole[:, 1]))
        of_tags = LossWeights(focal_gamma=self.loss_weights.focal_gamma)
        second = of_tags.entropy(tags.flatten(0, 1), target[:, 2:].flatten(), ignore_index=IGNORE, reduction="sum")
        return CLASS_WEIGHT * first + TAG_WEIGHT * second / (whole[:, 2:] != IGNORE).sum()

    def class_targets(self, data: Prepared) -> torch.Tensor:
        return data.target[:, 0]

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        classes, tags = _parts(output, target)
        mask = target[:, 2:] != IGNORE
        words = functional.cross_entropy(
            tags.flatten(0, 1), target[:, 2:].flatten(), ignore_index=IGNORE, reduction="sum"
        )
        sums = {
            "class": functional.cross_entropy(classes, target[:, 1], reduction="sum"),
            "accuracy": (classes.argmax(1) == target[:, 1]).sum(),
            "tag": words,
            "right": (tags.argmax(2) == target[:, 2:]).sum(),
            "words": mask.sum(),
        }
        return Scores(sums, len(target))

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        words = means["words"] or 1.0  # words per row: the ratio of two means over rows is a mean over words
        return {
            "loss": CLASS_WEIGHT * means["class"] + TAG_WEIGHT * means["tag"] / words,
            "accuracy": means["accuracy"],
            "word_accuracy": means["right"] / words,
        }

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        import torch

        of_classes, of_tags = _views(data)
        first, second = _CLASS.trivial(of_classes, rows), _TAGS.trivial(of_tags, rows)
        if first is None or second is None:
            return None
        title = f"{first.title}, {second.title[0].lower()}{second.title[1:]}"
        return BaselinePrediction(title, torch.cat([first.output, second.output.flatten(1)], dim=1))

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        classes, tags = _parts(output, self.target(data)[rows])
        of_classes, of_tags = _views(data)
        first = _CLASS.evaluate(classes, of_classes, rows, split)
        second = _TAGS.evaluate(tags, of_tags, rows, split)
        wrong = {item.row: item for item in first.worst if item.target != item.predicted}
        other_worst = [item for item in second.worst if item.row not in wrong]
        return replace(
            first,
            metrics={
                "accuracy": first.metrics["accuracy"],
                "macro_f1": first.metrics["macro_f1"],
                "entity_f1": second.metrics["entity_f1"],
                "word_accuracy": second.metrics["accuracy"],
                "loss": CLASS_WEIGHT * first.metrics["loss"] + TAG_WEIGHT * second.metrics["loss"],
            },
            worst=[*wrong.values(), *other_worst][:WORST],
            panels=second.panels,
            parts_report=second.report,
        )

    def output_metrics(self, metrics: Collection[str]) -> tuple[str, ...]:
        return tuple(name for name in ("accuracy", "word_accuracy") if name in metrics)

    def calibrated_parts(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> tuple[CalibratedPart, ...]:
        of_classes, _ = _views(data)
        return _CLASS.calibrated_parts(self.parted(output, data)[0], of_classes, rows)

    def calibrated_output(self, output: torch.Tensor, parts: Mapping[str, Mapping[str, Any]]) -> torch.Tensor:
        return output  # there are no thresholds to choose

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        count = len(data.schema.target.classes)
        return output[:, :count], output[:, count:].reshape(len(output), -1, len(data.schema.target.tags))


def _parts(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split an output into classes (N, C) and tags (N, T, K)."""
    classes = int(target[0, 0])
    return output[:, :classes], output[:, classes:].reshape(len(output), target.shape[1] - 2, -1)


def _views(data: Prepared) -> tuple[Prepared, Prepared]:
    """Return the data with only the classes, and with only the tags as target."""
    target = data.schema.target
    of_classes, of_tags = (
        replace(data.schema, target=replace(target, kind="class", tags=(), shape=())),
        replace(data.schema, target=replace(target, kind="tags", classes=target.tags, tags=())),
    )
    return (
        replace(data, schema=of_classes, target=data.target[:, 0]),
        replace(data, schema=of_tags, target=data.target[:, 1:]),
    )
