"""What an objective is: the loss that training lowers, and the measures that people read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

    from builder.data import Prepared

# How many rows go through a network at once when it is measured, and how many of the worst are kept.
EVALUATION_BATCH = 512
WORST = 20


@dataclass(frozen=True)
class Scores:
    """Sums over the rows of a batch, kept as tensors so that no step waits for the device; `count` is their divisor."""

    sums: dict[str, torch.Tensor]
    count: int


@dataclass(frozen=True)
class Worst:
    """A row of the data on which the network is most wrong."""

    row: int
    loss: float
    target: str
    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Evaluation:
    """A trained network on one split. Which parts are there depends on the objective."""

    split: str
    rows: int
    metrics: dict[str, float]
    classes: tuple[str, ...] = ()
    confusion: list[list[int]] | None = None
    report: list[dict[str, Any]] | None = None
    residuals: dict[str, list[float]] | None = None
    worst: list[Worst] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        from dataclasses import asdict

        return asdict(self)


class Objective(ABC):
    """One way to train: the loss and the scores. Which target it needs, `builder.check.rules.data.TARGETS` says."""

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    metrics: ClassVar[dict[str, str]]

    @abstractmethod
    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The mean loss of a batch, a scalar."""

    @abstractmethod
    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        """Sums of the loss and the other measures over a batch."""

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        """The measures that people read, from the means of the sums."""
        return means

    @abstractmethod
    def evaluate(self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str) -> Evaluation:
        """Everything that the results page shows, from the outputs for `rows`."""

    @abstractmethod
    def answers(self, output: torch.Tensor, data: Prepared) -> list[dict[str, Any]]:
        """One answer in plain JSON for each row of `output`."""
