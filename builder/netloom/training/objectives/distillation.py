"""Knowledge distillation: classification from labels and from the logits of an earlier run.

Hinton, Vinyals and Dean, https://arxiv.org/abs/1503.02531.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from netloom.tasks import distillation
from netloom.training.objectives.classification import Classification
from netloom.training.objectives.taught import Taught

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.document import Training


class Distillation(Taught, Classification):
    """`share` · T² · KL(teacher at temperature T ‖ student at T) + (1 − `share`) · cross-entropy with the labels.

    In a step, the target is (N, 1 + classes): the class, then the logits of the teacher. Metrics use the cross-entropy
    with the labels only, as in classification.
    """

    task = distillation.Distillation()
    temperature = 4.0

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = super().configured(training, data, device)
        configured.temperature = training.temperature
        return configured

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        if target.dim() == 1:  # plain labels: there is no teacher
            return super().loss(output, target)
        labels, heat = target[:, 0].long(), self.temperature
        soft = functional.kl_div(
            (output / heat).log_softmax(1),
            (target[:, 1:] / heat).log_softmax(1),
            log_target=True,
            reduction="batchmean",
        )
        # Gradients of the soft targets scale with 1/T², hence the factor T² (section 2 of the paper).
        return self.share * heat**2 * soft + (1 - self.share) * self.loss_weights.entropy(output, labels)
