"""Object detection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from netloom.data.boxes import objects_text
from netloom.data.preparation.box_decoding import detected, detected_logits
from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import detection
from netloom.tasks.chosen_thresholds import threshold_of
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.average_precision import Matches, average_precisions, matched, mean_average_precision
from netloom.training.objectives.calibrated_part import CalibratedPart
from netloom.training.objectives.detection_loss import row_losses
from netloom.training.objectives.evaluation import Evaluation, Panel, Picture, Reference, ScoreRow, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction
from netloom.training.objectives.thresholds import maximize_f1

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared

SHOWN = 8
SIDE = 128  # of a shown image in pixels
# The score from which objects count during training; the one of predictions is chosen on the validation rows
_TRAINING_THRESHOLD = 0.3
_IOU = (0.5,)
AVERAGES = ("map", "map_50", "map_75")


class Detection(Objective):
    """The losses of `detection_loss`, averaged over images, and the metrics of COCO.

    Outputs are (N, classes + 4, H, W) as in `box_decoding`, targets (N, M, 5) as in `netloom.data.boxes`. Precision and
    recall count objects at an IoU of 0.5 of all rows together.
    """

    task = detection.Detection()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return row_losses(output, target).mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        matches = matched(detected(output.float()), target)
        called = matches.scores > _TRAINING_THRESHOLD
        sums = {
            "loss": row_losses(output, target).sum(),
            "hits": (matches.hits[0] & called).sum(),
            "called": called.sum(),
            "true": (matches.true >= 0).sum(),
        }
        values = {
            "classes": matches.classes,
            "scores": matches.scores,
            "hits": matches.hits.transpose(0, 1),
            "true": matches.true,
        }
        return Scores(sums, len(target), values)

    def metrics_of_values(self, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        import torch

        classes, scores, hits, true = (torch.from_numpy(values[name]) for name in ("classes", "scores", "hits", "true"))
        matches = Matches(classes, scores, hits.transpose(0, 1), true)
        numbers = range(int(true.max()) + 1 if true.numel() else 0)
        return {"map": mean_average_precision(_averages(matches, number)["map"] for number in numbers)}

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        return {"loss": means["loss"], **_rates(means["hits"], means["called"], means["true"])}

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the score from which objects are predicted, with the best F1."""
        matches = matched(detected(output), data.target[rows], _IOU)
        hits, scores = matches.hits[0].flatten(), matches.scores.flatten()
        if not bool(hits.any()):
            return {}
        return {"threshold": maximize_f1(scores[scores > 0], hits[scores > 0], int((matches.true >= 0).sum()))}

    def calibrated_parts(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> tuple[CalibratedPart, ...]:
        """Return the objects (N, K, 1) by the logits of their scores, and whether they are right at an IoU of 0.5.

        All objects are matched, highest score first, as in an evaluation; then those with a low score are left out.
        """
        classes, logits, boxes = detected_logits(output)
        scores = logits.sigmoid()
        hits = matched((classes, scores, boxes), data.target[rows], _IOU).hits[0]
        counts = scores >= self.task.calibrated_from
        right, logits = hits.long().where(counts, -1), logits.where(counts, 0.0)
        # An output that is not finite has no objects, which would hide it
        logits = logits.where(output.flatten(1).isfinite().all(1, keepdim=True), math.nan)
        names = data.schema.target.classes
        part = CalibratedPart("", "sigmoid", self.task.confidence_unit, 2, logits[..., None], right[..., None], names)
        return (part,)

    def calibrated_output(self, output: torch.Tensor, parts: Mapping[str, Mapping[str, Any]]) -> torch.Tensor:
        return output  # the scores of the network decide which objects are predicted, see `box_answers`

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.usual_objects(data, rows)

    def reference(self, data: Prepared, rows: torch.Tensor, split: str) -> Reference | None:
        reference = super().reference(data, rows, split)
        if reference is not None:
            del reference.metrics["loss"]  # which depends on the number of cells
        return reference

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        classes, target, threshold = data.schema.target.classes, data.target[rows], threshold_of(chosen)
        losses = row_losses(output, target)
        objects = detected(output)
        matches = matched(objects, target)
        called = matches.scores > threshold
        hits = matches.hits[0] & called
        report = _report(matches, called, classes)
        wrong = (hits.sum(1) != called.sum(1)) | (hits.sum(1) != (matches.true >= 0).sum(1))
        order = losses.argsort(descending=True).tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics=_metrics(report, matches, threshold, losses),
            classes=classes,
            report=report,
            worst=[
                Worst(
                    int(rows[i]),
                    float(losses[i]),
                    data.target_text(int(rows[i])),
                    objects_text(classes[number] for number in matches.classes[i][called[i]].tolist()),
                    None,
                    correct=not bool(wrong[i]),
                )
                for i in order[:WORST]
            ],
            panels=_panels(objects, threshold, data, rows, order),
        )

    def metrics_of_parts(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Callable[[np.ndarray], Mapping[str, float]]:
        classes, target, threshold = data.schema.target.classes, data.target[rows], threshold_of(chosen)
        matches, losses = matched(detected(output), target), row_losses(output, target)

        def metrics(places: np.ndarray) -> Mapping[str, float]:
            part = matches.of_rows(places)
            return _metrics(_report(part, part.scores > threshold, classes), part, threshold, losses[places])

        return metrics

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {**data.fitted_target.to_json(), "threshold": threshold_of(chosen)}


def _metrics(report: list[ScoreRow], matches: Matches, threshold: float, losses: torch.Tensor) -> dict[str, float]:
    """Return the metrics of rows from the scores of their classes, their matches and their losses (N,)."""
    called = matches.scores > threshold
    hits = matches.hits[0] & called
    return {
        **{name: mean_average_precision(row[name] for row in report) for name in AVERAGES},
        **_rates(float(hits.sum()), float(called.sum()), float((matches.true >= 0).sum())),
        "threshold": threshold,
        "loss": float(losses.double().mean()),
    }


def _rates(hits: float, called: float, true: float) -> dict[str, float]:
    """Return F1, precision and recall from numbers of objects; 0 where nothing is predicted or nothing is true."""
    return {
        "f1": 2 * hits / (called + true) if called + true else 0.0,
        "precision": hits / called if called else 0.0,
        "recall": hits / true if true else 0.0,
    }


def _report(matches: Matches, called: torch.Tensor, classes: tuple[str, ...]) -> list[ScoreRow]:
    """Return the scores of each class that occurs or is predicted."""
    report: list[ScoreRow] = []
    for number, name in enumerate(classes):
        of_class = called & (matches.classes == number)
        objects = int((matches.true == number).sum())
        if not objects and not bool(of_class.any()):
            continue
        hits = float((matches.hits[0] & of_class).sum())
        rates = _rates(hits, float(of_class.sum()), float(objects))
        report.append({"class": name, **_averages(matches, number), **rates, "objects": objects})
    return report


def _averages(matches: Matches, number: int) -> ScoreRow:
    """Return the average precision of a class over all thresholds, at 0.5 and at 0.75; None without such an object."""
    each = average_precisions(matches, number)
    if each is None:
        return dict.fromkeys(AVERAGES)
    return dict(zip(AVERAGES, (float(each.mean()), float(each[0]), float(each[5])), strict=True))


def _panels(
    objects: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    threshold: float,
    data: Prepared,
    rows: torch.Tensor,
    order: list[int],
) -> list[Panel]:
    """Return images with their true and predicted objects: the worst rows, then some median ones."""
    classes, scores, boxes = objects
    middle = [index for index in order[len(order) // 2 :] if index not in order[:SHOWN]][:SHOWN]
    panels: list[Panel] = []
    for group, positions in (("Worst", order[:SHOWN]), ("Typical", middle)):
        for index in positions:
            row = int(rows[index])
            image = _picture(data, row)
            called = scores[index] > threshold
            predicted = _object_rows(classes[index][called], boxes[index][called])
            true = [item for item in data.target[row].tolist() if item[0] >= 0]
            panels.append(
                {
                    "row": row,
                    "group": group,
                    "caption": f"{data.target_text(row)} · {len(predicted)} predicted",
                    "parts": [
                        {"title": "True", "kind": "boxes", "values": image, "boxes": true},
                        {
                            "title": "Predicted",
                            "kind": "boxes",
                            "values": image,
                            "boxes": predicted,
                            "scores": scores[index][called].tolist(),
                        },
                    ],
                }
            )
    return panels


def _picture(data: Prepared, row: int) -> Picture:
    """Return the image of a row (C, H, W), subsampled to at most `SIDE` pixels per side, as it is stored as text."""
    image = data.raw.example(row, "").image
    apart = -(-max(image.shape[:2]) // SIDE)
    few = image[::apart, ::apart].round(3)
    channels: Picture = (few[None] if few.ndim == 2 else few.transpose(2, 0, 1)).tolist()
    return channels


def _object_rows(classes: torch.Tensor, boxes: torch.Tensor) -> list[list[float]]:
    """Return objects (objects, 5) as lists, from classes (objects,) and boxes (objects, 4)."""
    import torch

    rows: list[list[float]] = torch.cat([classes[:, None].to(boxes.dtype), boxes], dim=1).tolist()
    return rows
