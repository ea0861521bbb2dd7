"""How a bot without context treats the messages of a split: which it answers by itself, and which of them are wrong."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.calibration.selective import selected
from netloom.chat.understanding import MAX_RANKED, has_no_known_token, intent_target
from netloom.runs.prediction.trained_run import answers
from netloom.training.streaming import evaluation_rows, take
from netloom.training.uncertainty import wilson

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun

CHUNK = 2_000  # rows whose answers, with a number for each intent, are in memory at once


@dataclass(frozen=True)
class Measured:
    """What thresholds give on the messages of a split, with 95% confidence intervals where rows are independent.

    Attributes:
        automation: The share of messages whose intent is accepted without asking back.
        error: The share of accepted messages whose intent is wrong; None if none is accepted. An accepted message that
            is out of scope is wrong.
        in_scope: The number of messages that are in scope.
        in_scope_accuracy: The share of these whose intent is accepted and right; None without such messages.
        out_of_scope_recall: The share of messages out of scope that are not accepted; None without such messages.
    """

    split: str
    rows: int
    automation: float
    automation_interval: tuple[float, float] | None
    error: float | None
    error_interval: tuple[float, float] | None
    in_scope: int
    in_scope_accuracy: float | None
    in_scope_interval: tuple[float, float] | None
    out_of_scope_recall: float | None
    out_of_scope_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Outcomes:
    """The first intent of each of N messages of a split, as arrays of shape (N,).

    Attributes:
        confidence: The probability of the most likely intent.
        margin: How far it is ahead of the next intent in scope; 1 without one.
        is_candidate: Whether it can be accepted: it is in scope, the run does not abstain, and the vocabulary has a
            token of the message.
        is_right: Whether it is the true one.
        is_outside: Whether the message is out of scope.
        is_independent: Whether rows are independent, so that intervals can be computed.
    """

    split: str
    confidence: np.ndarray
    margin: np.ndarray
    is_candidate: np.ndarray
    is_right: np.ndarray
    is_outside: np.ndarray
    is_independent: bool

    @cached_property
    def loss(self) -> np.ndarray:
        """1 for each message whose intent would be wrong if it was accepted, else 0."""
        return (~self.is_right).astype(np.float64)

    def measured(self, confidence: float, ambiguity: float) -> Measured:
        """Return what thresholds of a policy give."""
        accepted = self.is_candidate & (self.confidence >= confidence) & (self.margin >= ambiguity)
        answered = selected(accepted, self.loss, independent=self.is_independent)
        inside, outside = ~self.is_outside, self.is_outside
        accuracy, accuracy_interval = self._share((accepted & self.is_right)[inside])
        recall, recall_interval = self._share(~accepted[outside])
        return Measured(
            split=self.split,
            rows=answered.rows,
            automation=answered.coverage,
            automation_interval=answered.coverage_interval,
            error=answered.risk,
            error_interval=answered.risk_interval,
            in_scope=int(inside.sum()),
            in_scope_accuracy=accuracy,
            in_scope_interval=accuracy_interval,
            out_of_scope_recall=recall,
            out_of_scope_interval=recall_interval,
        )

    def _share(self, values: np.ndarray) -> tuple[float | None, tuple[float, float] | None]:
        if not len(values):
            return None, None
        share = float(values.mean())
        return share, wilson(share, len(values)) if self.is_independent else None


def outcomes(trained: TrainedRun, split: str, out_of_scope: Collection[str]) -> Outcomes:
    """Return the outcomes of the messages of a split; the intents in `out_of_scope` are never accepted."""
    data, rows = trained.data, evaluation_rows(trained.data, split)
    intents, output = intent_target(data.schema), trained.output_of(split)
    parts = trained.objective.calibrated_parts(output, data, rows)
    part = next(part for part in parts if part.name in ("", intents.name))
    truth = [part.classes[number] for number in part.target.reshape(-1).long().tolist()]
    measured_rows: list[tuple[float, float, bool, bool]] = []
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        for row, true in zip(_answers(trained, rows[chunk], output[chunk]), truth[chunk], strict=True):
            intent = row["outputs"][intents.name] if "outputs" in row else row
            measured_rows.append(_row(intent, true, out_of_scope))
    confidence, margin, is_candidate, is_right = (np.array(column) for column in zip(*measured_rows, strict=True))
    is_candidate &= ~has_no_known_token(take(data, trained.fields[:1], rows.numpy())[trained.fields[0]].numpy())
    is_outside = np.isin(truth, list(out_of_scope))
    return Outcomes(split, confidence, margin, is_candidate, is_right, is_outside, not data.raw.has_dependent_rows)


def _answers(trained: TrainedRun, rows: torch.Tensor, output: torch.Tensor) -> list[dict[str, Any]]:
    return answers(trained, take(trained.data, trained.fields, rows.numpy()), lambda inputs: output)


def _row(answer: dict[str, Any], true: str, out_of_scope: Collection[str]) -> tuple[float, float, bool, bool]:
    """Return confidence, margin, and whether the first intent can be accepted and is right."""
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:MAX_RANKED]
    first, share = ranked[0]
    second = next((share for name, share in ranked[1:] if name not in out_of_scope), None)
    is_candidate = first not in out_of_scope and not answer.get("abstained")
    return share, 1.0 if second is None else share - second, is_candidate, first == true
