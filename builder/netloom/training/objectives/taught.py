"""What objectives share that also learn from the outputs of an earlier run, the teacher."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self, cast

from netloom.tasks.training_losses import DISTILLATION_LOSS
from netloom.training.objectives.objective import Objective

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from netloom.data import Prepared
    from netloom.document import Training
    from netloom.training.targets import Targets


class Taught(Objective):
    """An objective whose loss has the weight `share` for the outputs of a teacher, and the rest for the targets.

    In a step, the target is (N, values): the values of the target of each row, then those of the outputs of the
    teacher. Without a teacher, and in evaluations, it is that of the data.
    """

    share = 0.7
    # Maps the inputs of a batch to the outputs (N, …) of the teacher; set by `runs.distillation`.
    teacher: Callable[[list[torch.Tensor]], torch.Tensor] | None = None

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = copy.copy(super().configured(training, data, device))
        configured.share = training.distillation_weight
        return configured

    @property
    def training_loss_name(self) -> str:
        return DISTILLATION_LOSS

    def prepare_batch(
        self, inputs: list[torch.Tensor], target: torch.Tensor, seed: tuple[int, ...]
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Append the outputs of the teacher to the targets of a batch."""
        import torch

        if self.teacher is None:
            return inputs, target
        outputs, rows = self.teacher(inputs), len(target)
        return inputs, torch.cat([target.reshape(rows, -1).to(outputs.dtype), outputs.reshape(rows, -1)], dim=1)

    def batch(
        self, inputs: list[torch.Tensor], target: Targets, seed: tuple[int, int, int]
    ) -> tuple[list[torch.Tensor], Targets]:
        """The teacher receives the same augmented inputs as the student."""
        from netloom.training.targets import map_targets

        goal = target
        if self.change is not None:
            inputs, goal = self.change(inputs, cast("torch.Tensor", target), seed[1], seed[2])
        return inputs, map_targets(goal, lambda targets: self.prepare_batch(inputs, targets, seed)[1])

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return len(target)
