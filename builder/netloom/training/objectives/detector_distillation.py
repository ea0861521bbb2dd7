"""Knowledge distillation of a detector: object detection from true objects and from the grid of an earlier detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.tasks import detector_distillation
from netloom.training.objectives.detection import Detection
from netloom.training.objectives.detection_loss import row_losses, taught_losses
from netloom.training.objectives.taught import Taught

if TYPE_CHECKING:
    import torch


class DetectorDistillation(Taught, Detection):
    """`share` · the losses of `taught_losses` + (1 − `share`) · those of detection, averaged over images.

    In a step, the target is (N, M · 5 + (classes + 4) · H · W): the objects, then the outputs of the teacher, which has
    the same grid.
    """

    task = detector_distillation.DetectorDistillation()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if target.dim() == 3:  # plain objects: there is no teacher
            return super().loss(output, target)
        rows, size = len(output), output[0].numel()
        objects, taught = target[:, :-size].reshape(rows, -1, 5), target[:, -size:].reshape(output.shape)
        hard, soft = row_losses(output, objects), taught_losses(output, taught, objects)
        return (self.share * soft + (1 - self.share) * hard).mean()
