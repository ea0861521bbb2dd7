"""Similarity of pairs by the distance of their embeddings.

Hadsell, Chopra and LeCun, Dimensionality reduction by learning an invariant mapping,
https://doi.org/10.1109/CVPR.2006.100
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import siamese
from netloom.tasks.siamese import similar_index
from netloom.training.objectives.classification_report import by_class, class_scores, confusion
from netloom.training.objectives.evaluation import Evaluation, Reference, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.thresholds import areas, best_threshold, curves

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training


class Siamese(Objective):
    """½·d² for a similar pair, ½·max(0, margin − d)² for a dissimilar one; d is the Euclidean distance of the
    embeddings.

    The two outputs are concatenated, (N, 2·D). A setting says which of the two classes is that of similar pairs. The
    distance threshold is chosen on the validation rows.
    """

    task = siamese.Siamese()
    margin = 1.0
    similar_class = 1  # the class of similar pairs

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.margin, described.similar_class = training.margin, similar_index(training)
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        return self.described(training, data.schema)

    def _costs(self, output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of each pair and its distance, (N,)."""
        distances = distance(output)
        # No loss beyond the margin: distances need not grow forever
        dissimilar_cost = (self.margin - distances).clamp(min=0).square()
        return 0.5 * distances.square().where(target == self.similar_class, dissimilar_cost), distances

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._costs(output, target)[0].mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        costs, distances = self._costs(output, target)
        is_similar = target == self.similar_class
        sums = {
            "loss": costs.sum(),
            "alike_distance": distances[is_similar].sum(),
            "other_distance": distances[~is_similar].sum(),
            "alike": is_similar.sum(),
        }
        return Scores(sums, len(target))

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        share = means["alike"]  # of similar pairs
        return {
            "loss": means["loss"],
            "alike_distance": means["alike_distance"] / share if share else 0.0,
            "other_distance": means["other_distance"] / (1 - share) if share < 1 else 0.0,
        }

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the distance threshold with the best F1 for similar pairs."""
        is_similar = data.target[rows] == self.similar_class
        if not bool(is_similar.any()) or bool(is_similar.all()):
            return {"threshold": self.margin / 2}
        return {"threshold": -best_threshold(-distance(output), is_similar)}  # similar pairs have the smaller distance

    def reference(self, data: Prepared, rows: torch.Tensor, split: str) -> Reference | None:
        """Predict the majority class of the training pairs."""
        most = int(data.target[data.split["train"]].bincount().argmax())
        share = float((data.target[rows] == most).float().mean())
        return Reference("Majority class", {"accuracy": share, "roc_auc": 0.5})

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        import torch

        classes, target = data.schema.target.classes, data.target[rows]
        threshold = chosen.get("threshold", self.margin / 2)
        costs, distances = self._costs(output, target)
        truth = target.numpy()
        guess = torch.where(distances < threshold, self.similar_class, 1 - self.similar_class).numpy()
        counts = confusion(truth, guess, 2)
        scores = class_scores(counts)
        is_similar, similarity = (target == self.similar_class).numpy(), (-distances).double().numpy()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "accuracy": float((truth == guess).mean()),
                **areas(is_similar, similarity),
                "f1": float(scores[2][self.similar_class]),
                "threshold": threshold,
                "loss": float(costs.mean()),
            },
            classes=classes,
            confusion=counts.tolist(),
            report=by_class(classes, scores),
            separation={
                "usual": distances[target == self.similar_class].tolist(),
                "unusual": distances[target != self.similar_class].tolist(),
                "threshold": threshold,
                "names": [classes[self.similar_class], classes[1 - self.similar_class]],
                "score": "Distance of a pair",
                **curves(is_similar, similarity),
            },
            worst=[
                Worst(
                    int(rows[i]),
                    float(costs[i]),
                    classes[truth[i]],
                    _caption(classes[guess[i]], float(distances[i])),
                    None,
                    correct=bool(truth[i] == guess[i]),
                )
                for i in costs.argsort(descending=True)[:WORST].tolist()
            ],
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        classes = data.schema.target.classes
        return {
            **data.fitted_target.to_json(),
            "kind": "pair",
            # A pair near each other has the second
            "classes": [classes[1 - self.similar_class], classes[self.similar_class]],
            "threshold": chosen.get("threshold", self.margin / 2),
        }

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        return output.chunk(2, dim=1)


def _caption(name: str, pair_distance: float) -> str:
    return f"{name}, {pair_distance:.2f} apart"


def distance(output: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean distance (N,) of two concatenated embeddings (N, 2·D).

    For equal embeddings, it is 1e-6 with the gradient 0.
    """
    first, second = output.chunk(2, dim=1)
    square = (first - second).square().sum(1)
    # The derivative of the root is infinite at 0; `clamp` has the derivative 0 below its minimum.
    return square.clamp(min=1e-12).sqrt()
