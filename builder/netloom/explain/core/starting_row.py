"""The row that is explained first, on the page and by commands without a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netloom.data import Prepared
    from netloom.training.objectives.evaluation import Evaluation


@dataclass(frozen=True)
class StartingRow:
    """The number of a row, and the reason why it is shown as a sentence."""

    row: int
    reason: str


def starting_row(data: Prepared, evaluation: Evaluation | None) -> StartingRow:
    """Return the most instructive row: the most confident mistake on the test rows, or else the largest loss."""
    first = int(data.rows["test"][0])
    if evaluation is None:
        return StartingRow(first, "First test row; the run has not been evaluated, so no mistakes are known.")
    mistake = evaluation.most_confident_mistake
    if mistake is None and not evaluation.worst:
        return StartingRow(first, "First test row; this task has no single true answer per row.")
    if mistake is None:
        return StartingRow(evaluation.worst[0].row, "Largest loss on the test rows; no prediction is wrong.")
    if mistake.confidence is None:
        return StartingRow(mistake.row, "Largest error on the test rows.")
    return StartingRow(mistake.row, f"Most confident mistake on the test rows ({mistake.confidence:.0%}).")
