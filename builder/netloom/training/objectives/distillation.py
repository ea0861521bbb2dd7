"""Knowledge distillation: classification from labels and from the logits of an earlier run.

Hinton, Vinyals and Dean, https://arxiv.org/abs/1503.02531.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self, cast

from netloom.tasks import distillation
from netloom.tasks.training_losses import DISTILLATION_LOSS
from netloom.training.objectives.classification import Classification

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from netloom.data import Prepared
    from netloom.document import Training
    from netloom.training.targets import Targets


class Distillation(Classification):
    """`share` · T² · KL(teacher at temperature T ‖ student at T) + (1 − `share`) · cross-entropy with the labels.

    In a step, the target is (N, 1 + classes): the class, then the logits of the teacher. Metrics use the cross-entropy
    with the labels only, as in classification.
    """

    task = distillation.Distillation()
    temperature, share = 4.0, 0.7
    # Maps the inputs of a batch to the logits (N, classes) of the teacher; set by `runs.distillation`.
    teacher: Callable[[list[torch.Tensor]], torch.Tensor] | None = None

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = copy.copy(super().configured(training, data, device))
        configured.temperature, configured.share = training.temperature, training.distillation_weight
        return configured

    @property
    def training_loss_name(self) -> str:
        return DISTILLATION_LOSS

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Append the logits of the teacher to the targets of a batch."""
        import torch

        if self.teacher is None:
            return inputs, target
        teacher_logits = self.teacher(inputs)
        return inputs, torch.cat([target.unsqueeze(1).to(teacher_logits.dtype), teacher_logits], dim=1)

    def batch(
        self, inputs: list[torch.Tensor], target: Targets, seed: tuple[int, int, int]
    ) -> tuple[list[torch.Tensor], Targets]:
        """The teacher receives the same augmented inputs as the student."""
        from netloom.training.targets import map_targets

        goal = target
        if self.change is not None:
            inputs, goal = self.change(inputs, cast("torch.Tensor", target), seed[1], seed[2])
        return inputs, map_targets(goal, lambda targets: self.prepare_batch(inputs, targets, seed)[1])

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

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return len(target)
