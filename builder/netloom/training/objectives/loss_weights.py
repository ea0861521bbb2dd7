"""Loss settings of a document: class weights, label smoothing, regression loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from netloom.document import Training


@dataclass(frozen=True)
class LossWeights:
    """How a loss is computed. `class_weights` (classes,) are float32 on the device of the loss; None: uniform.

    `regression` is mse, mae, huber (quadratic up to `delta`, linear beyond) or quantile (predicts the `quantile` of the
    target).
    """

    class_weights: torch.Tensor | None = None
    label_smoothing: float = 0.0
    regression: str = "mse"
    delta: float = 1.0
    quantile: float = 0.5
    # The weight of positive targets per label, float32 (labels,), as `pos_weight` in torch; None: 1.
    positive_weight: torch.Tensor | None = None
    # γ of the focal loss, https://arxiv.org/abs/1708.02002; 0: cross-entropy.
    focal_gamma: float = 0.0
    # The weight of the Dice loss in segmentation.
    dice_weight: float = 0.0

    @property
    def is_unweighted(self) -> bool:
        """Whether there are neither class weights, nor a positive weight, nor label smoothing, nor another loss."""
        is_plain = self.label_smoothing == 0 and self.focal_gamma == 0 and self.dice_weight == 0
        return is_plain and self.class_weights is None and self.positive_weight is None

    def binary(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean binary cross-entropy of logits and 0/1 targets (N, labels), with these weights and this
        smoothing."""
        from torch.nn import functional

        smooth = self.label_smoothing
        # As torch smooths class targets, with two classes; its binary cross-entropy has no such argument.
        goal = target * (1 - smooth) + smooth / 2 if smooth else target
        if not self.focal_gamma:
            return functional.binary_cross_entropy_with_logits(logits, goal, pos_weight=self.positive_weight)
        costs = functional.binary_cross_entropy_with_logits(
            logits, goal, pos_weight=self.positive_weight, reduction="none"
        )
        # The probability of the true answer, also for targets between 0 and 1, such as mixed ones
        right = target * logits.sigmoid() + (1 - target) * (-logits).sigmoid()
        return (self._focus(right) * costs).mean()

    def entropy(self, logits: torch.Tensor, target: torch.Tensor, **how: Any) -> torch.Tensor:
        """Return torch's cross-entropy (N, classes, …), (N, …) with these weights and this smoothing, or focal loss."""
        from torch.nn import functional

        weights = {"weight": self.class_weights, "label_smoothing": self.label_smoothing, **how}
        if not self.focal_gamma:
            return functional.cross_entropy(logits, target, **weights)
        costs = functional.cross_entropy(logits, target, **{**weights, "reduction": "none"})
        counts = target != how.get("ignore_index", -100)  # torch's own default
        known = target.clamp(min=0)
        right = logits.log_softmax(1).gather(1, known.unsqueeze(1)).squeeze(1).exp()
        # The divisor is that of torch's weighted mean, and not the sum of the focal factors: easy batches count less.
        mass = counts if self.class_weights is None else self.class_weights[known] * counts
        total = (self._focus(right) * costs).sum()
        return total if how.get("reduction") == "sum" else total / mass.sum()

    def _focus(self, right: torch.Tensor) -> torch.Tensor:
        """Return the factor (1 − p)^γ of the focal loss for probabilities of the true class."""
        # Below 1, γ has an infinite derivative at 0.
        factor: torch.Tensor = (1 - right).clamp(min=1e-7) ** self.focal_gamma
        return factor

    def mass(self, target: torch.Tensor) -> torch.Tensor | int:
        """Return the divisor of the mean of `entropy` for `target`, which holds no ignored class."""
        return target.numel() if self.class_weights is None else self.class_weights[target].sum()

    def error(self, output: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
        """Return the regression loss: its mean, its sum, or for the reduction none the loss of each number."""
        import torch
        from torch.nn import functional

        if self.regression == "mse":
            return functional.mse_loss(output, target, reduction=reduction)
        if self.regression == "mae":
            return functional.l1_loss(output, target, reduction=reduction)
        if self.regression == "huber":
            return functional.huber_loss(output, target, reduction=reduction, delta=self.delta)
        # The pinball loss: https://doi.org/10.2307/1913643
        missing = target - output
        cost = torch.maximum(self.quantile * missing, (self.quantile - 1) * missing)
        return cost if reduction == "none" else cost.sum() if reduction == "sum" else cost.mean()


def make_loss_weights(
    training: Training, takes: tuple[str, ...], targets: Callable[[], torch.Tensor], classes: int, device: str
) -> LossWeights:
    """Return the loss settings of a document that an objective uses. `targets` returns the classes of the training
    rows."""
    import torch

    weights = None
    if "class_weights" in takes and training.class_weights is not None:
        if training.class_weights == "balanced":
            weights = balanced(targets(), classes)
        else:
            weights = torch.tensor(training.class_weights)
        weights = weights.to(device, torch.float32)
    positive = None
    if "positive_weight" in takes and training.positive_weight is not None:
        positive = positive_weight(training.positive_weight, targets()).to(device, torch.float32)
    return LossWeights(
        weights,
        training.label_smoothing if "label_smoothing" in takes else 0.0,
        training.regression_loss if "regression_loss" in takes else "mse",
        training.huber_delta,
        training.quantile,
        positive,
        training.focal_gamma if "focal_gamma" in takes else 0.0,
        training.dice_weight if "dice_weight" in takes else 0.0,
    )


def positive_weight(setting: str | float, targets: torch.Tensor) -> torch.Tensor:
    """Return the positive weight per label (labels,): as set, or negatives divided by positives in the 0/1 `targets`
    (R,) or (R, labels). It is 1 for a label that applies to no row, or to all."""
    import torch

    table = targets.reshape(len(targets), -1).double()
    if not isinstance(setting, str):
        return torch.full((table.shape[1],), float(setting), dtype=torch.float64)
    applies = table.sum(0)
    lacks = len(table) - applies
    return torch.where((applies > 0) & (lacks > 0), lacks / applies.clamp(min=1), torch.ones_like(applies))


def balanced(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Return weights (classes,) that balance all classes that occur, with the mean 1 over rows: rows / (classes that
    occur · rows of the class), as scikit-learn's `class_weight="balanced"`.

    Ignores targets below 0.
    """
    flat_targets = targets.flatten()
    counts = flat_targets[flat_targets >= 0].bincount(minlength=classes).double()
    present = counts > 0
    weights = counts.new_zeros(classes)
    # Classes without training rows keep the weight 0; their share would be a division by 0.
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
