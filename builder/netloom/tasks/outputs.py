"""The expectations of a task on the outputs of a network: their shapes, and how their values become probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netloom.layers.probability import OutputActivation


@dataclass(frozen=True)
class LogitSpec:
    """How logits become probabilities: by a softmax along `axis`, or by a sigmoid.

    `dims` is the number of dimensions of the output, with the batch.
    """

    family: OutputActivation
    axis: int = 1
    dims: int = 2


CLASS_LOGITS = LogitSpec("softmax")  # (N, classes)
LABEL_LOGITS = LogitSpec("sigmoid")  # (N, labels)
STEP_LOGITS = LogitSpec("softmax", axis=2, dims=3)  # (N, T, classes)
PIXEL_LOGITS = LogitSpec("softmax", axis=1, dims=4)  # (N, classes, H, W)


@dataclass(frozen=True)
class ExpectedOutput:
    """One Output of a network as a task needs it.

    Args:
        shape: The shape without the batch dimension, None for a dimension of any size; None: a vector of any length (an
            embedding).
        demand: Subject and verb of a sentence that ends with the shape, such as "the 10 classes of the data need".
        name: The name of a missing Output when a fix adds it.
    """

    shape: tuple[int | None, ...] | None
    demand: str = ""
    name: str = ""

    def resolved(self, shape: tuple[int | None, ...]) -> tuple[int, ...] | None:
        """Return the needed shape without the batch dimension, where free dimensions are those of an output (N, …);
        None if they are unknown, as that output has another number of dimensions."""
        needed, own = self.shape or (), shape[1:]
        if None in needed and len(own) != len(needed):
            return None
        return tuple((own[axis] or 1) if size is None else size for axis, size in enumerate(needed))

    @property
    def text(self) -> str:
        """The needed shape for a message, such as "(N, 8, any, any)"."""
        return f"(N, {', '.join('any' if size is None else str(size) for size in self.shape or ())})"
