"""What of the outputs of a network can be calibrated: the logits of classes or labels, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from netloom.core.plain_json import JsonObject

if TYPE_CHECKING:
    import torch

    from netloom.data.schema import TargetSpec
    from netloom.tasks import Task
    from netloom.tasks.task import ConfidenceUnit

Family = Literal["softmax", "sigmoid", "numbers"]


@dataclass(frozen=True)
class CalibratedPart:
    """One output of a network for N rows, with its targets.

    Args:
        name: The name of the target, if there are several; else "".
        family: How the logits become probabilities; "numbers" are not probabilities.
        unit: What one probability is for.
        axis: The axis of the classes in `output`.
        output: (N, …), logits or standardized numbers.
        target: Class numbers, (N,) or (N, …) without the axis of the classes, below 0 where there is no target; labels
            and numbers are (N, k). Of objects (N, K, 1), whether each is right, below 0 where it does not count.
        classes: The names of the classes or labels; of numbers, empty.
    """

    name: str
    family: Family
    unit: ConfidenceUnit
    axis: int
    output: torch.Tensor
    target: torch.Tensor
    classes: tuple[str, ...]

    @property
    def has_probabilities(self) -> bool:
        """Whether the output is logits of classes or labels, not numbers."""
        return self.family != "numbers"

    @property
    def has_one_class(self) -> bool:
        """Whether exactly one of the classes is true, so that their probabilities add up to 1."""
        return self.family == "softmax"

    @property
    def has_row_confidence(self) -> bool:
        """Whether a row as a whole has a confidence; not if it has any number of units, such as objects."""
        return self.unit != "object"

    def as_json(self) -> JsonObject:
        """Return what `netloom.data.preparation.calibrated` reads, without anything that was fitted."""
        return {"family": self.family, "unit": self.unit, "axis": self.axis}


def calibrated_part(
    task: Task, output: torch.Tensor | tuple[torch.Tensor, ...], target: torch.Tensor, spec: TargetSpec
) -> CalibratedPart | None:
    """Return the calibrated part of a task with one output; None if its output is not calibrated."""
    if not task.confidence_unit or isinstance(output, tuple):
        return None
    logits = next(iter(task.probabilities), None)
    if logits is None:
        return CalibratedPart("", "numbers", task.confidence_unit, 1, output, target.reshape(len(output), -1), ())
    target = target.reshape(len(output), -1) if logits.family == "sigmoid" else target.long()
    return CalibratedPart("", logits.family, task.confidence_unit, logits.axis, output, target, spec.classes)
