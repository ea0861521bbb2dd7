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
    alike = 1  # the class of similar pairs

    def described(self, training: Training, schema: Schema) -> Self:
        described = copy.copy(self)
        described.margin, described.alike = training.margin, similar_index(training)
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        return self.described(training, data.schema)

    def _costs(self, output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of each pair and its distance, (N,)."""
        apart = distance(output)
        far = (self.margin - apart).clamp(min=0).square()  # no loss beyond the margin: distances need not grow forever
        return 0.5 * apart.square().where(target == self.alike, far), apart

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._costs(output, target)[0].mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        costs, apart = self._costs(output, target)
        alike = target == self.alike
        sums = {
            "loss": costs.sum(),
            "alike_distance": apart[alike].sum(),
            "other_distance": apart[~alike].sum(),
            "alike": alike.sum(),
        }
        return Scores(sums, len(target))

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        alike = means["alike"]  # the share of similar pairs
        return {
            "loss": means["loss"],
            "alike_distance": means["alike_distance"] / alike if alike else 0.0,
            "other_distance": means["other_distance"] / (1 - alike) if alike < 1 else 0.0,
        }

    def calibrate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor) -> Settings:
        """Choose the distance threshold with the best F1 for similar pairs."""
        alike = data.target[rows] == self.alike
        if not bool(alike.any()) or bool(alike.all()):
            return {"threshold": self.margin / 2}
        return {"threshold": -best_threshold(-distance(output), alike)}  # similar pairs have the smaller distance

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
        costs, apart = self._costs(output, target)
        truth = target.numpy()
        guess = torch.where(apart < threshold, self.alike, 1 - self.alike).numpy()
        counts = confusion(truth, guess, 2)
        scores = class_scores(counts)
        alike, near = (target == self.alike).numpy(), (-apart).double().numpy()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "accuracy": float((truth == guess).mean()),
                **areas(alike, near),
                "f1": float(scores[2][self.alike]),
                "threshold": threshold,
                "loss": float(costs.mean()),
            },
            classes=classes,
            confusion=counts.tolist(),
            report=by_class(classes, scores),
            separation={
                "usual": apart[target == self.alike].tolist(),
                "unusual": apart[target != self.alike].tolist(),
                "threshold": threshold,
                "names": [classes[self.alike], classes[1 - self.alike]],
                "score": "Distance of a pair",
                **curves(alike, near),
            },
            worst=[
                Worst(
                    int(rows[i]),
                    float(costs[i]),
                    classes[truth[i]],
                    _caption(classes[guess[i]], float(apart[i])),
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
            "classes": [classes[1 - self.alike], classes[self.alike]],  # a pair near each other has the second
            "threshold": chosen.get("threshold", self.margin / 2),
        }

    def parted(self, output: torch.Tensor, data: Prepared) -> torch.Tensor | tuple[torch.Tensor, ...]:
        return output.chunk(2, dim=1)


def _caption(name: str, apart: float) -> str:
    return f"{name}, {apart:.2f} apart"


def distance(output: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean distance (N,) of two concatenated embeddings (N, 2·D).

    For equal embeddings, it is 1e-6 with the gradient 0.
    """
    first, second = output.chunk(2, dim=1)
    square = (first - second).square().sum(1)
    # The derivative of the root is infinite at 0; `clamp` has the derivative 0 below its minimum.
    return square.clamp(min=1e-12).sqrt()
