"""Several predictions for each row: passes with dropout, or networks of several runs.

Gal and Ghahramani 2016, https://arxiv.org/abs/1506.02142; Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration.measures import log_loss
from netloom.calibration.reliability import equal_width, stated
from netloom.core.errors import UsageError
from netloom.training.objectives.classification_report import roc_auc

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.runs import TrainedRun


@dataclass(frozen=True)
class EnsembleReport:
    """What the mean of several predictions changes on test units, and how well its uncertainties find mistakes.

    `before` and `after` are accuracy (of classes), log loss and ECE of one prediction and of the mean. Entropies are in
    nats: `entropy` of the mean prediction, and `mutual_information`, its part that comes from disagreement. The
    AUROC of each says how well it separates wrong from right predictions; None if all or none are right.
    """

    kind: str
    members: int
    units: int
    before: dict[str, float]
    after: dict[str, float]
    entropy: float
    mutual_information: float
    entropy_auroc: float | None
    information_auroc: float | None


def entropy(shares: np.ndarray, *, labels: bool) -> np.ndarray:
    """Return the entropy (…,) of probabilities (…, C) in nats; of labels, the mean of their binary entropies."""
    from scipy.special import entr

    return (entr(shares) + entr(1 - shares)).mean(-1) if labels else entr(shares).sum(-1)  # type: ignore[no-any-return]


def ensemble_report(kind: str, single: np.ndarray, each: Sequence[np.ndarray], target: np.ndarray) -> EnsembleReport:
    """Return the report of members' probabilities, (M, C) each, beside those of one prediction (M, C)."""
    labels = target.ndim == 2
    members = np.stack(each)
    mean = members.mean(0)
    total = entropy(mean, labels=labels)
    information = (total - entropy(members, labels=labels).mean(0)).clip(0)
    predicted, truth = (mean > 0.5, target == 1) if labels else (mean.argmax(1), target)
    wrong = (predicted != truth).any(1) if labels else predicted != truth
    return EnsembleReport(
        kind,
        len(members),
        len(target),
        _measures(single, target),
        _measures(mean, target),
        float(total.mean()),
        float(information.mean()),
        _auroc(wrong, total),
        _auroc(wrong, information),
    )


def _measures(shares: np.ndarray, target: np.ndarray) -> dict[str, float]:
    confidence, right = stated(shares, target)
    accuracy = {} if target.ndim == 2 else {"accuracy": float(right.mean())}
    error = equal_width(confidence, right).expected_error
    return {**accuracy, "log_loss": log_loss(shares, target), "ece": error}


def _auroc(wrong: np.ndarray, score: np.ndarray) -> float | None:
    return roc_auc(wrong, score) if 0 < wrong.sum() < len(wrong) else None


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """Return the layers that drop values at random in training."""
    from torch import nn

    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    return [module for module in network.modules() if isinstance(module, kinds)]


@contextmanager
def active_dropout(network: nn.Module, seed: int) -> Iterator[None]:
    """Context in which dropout is active. All other layers stay in evaluation mode, and the random numbers of the
    process are not used."""
    import torch

    layers = dropout_layers(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            for layer in layers:
                layer.eval()


def dropout_outputs(
    trained: TrainedRun,
    inputs: Mapping[str, torch.Tensor],
    passes: int,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> list[torch.Tensor]:
    """Return the outputs (N, …) of several passes with dropout.

    Raises:
        UsageError: the network has no dropout.
    """
    if not dropout_layers(trained.scorer):
        raise UsageError("Monte Carlo dropout needs a network with a Dropout layer, but this one has none.")
    outputs = []
    for pass_index in range(passes):
        with active_dropout(trained.scorer, seed + pass_index):
            outputs.append(trained.output(inputs))
        progress((pass_index + 1) / passes)
    return outputs


def check_members(trained: TrainedRun, ensemble_members: Sequence[TrainedRun]) -> None:
    """Check that runs have the data and the task of a run.

    Raises:
        UsageError: one does not; the message says which and why.
    """
    for member in ensemble_members:
        name = member.run.id if member.run else "a run"
        if member.objective.name != trained.objective.name:
            raise UsageError(
                f"An ensemble needs runs of the same task, but {name} has the task {member.objective.name}."
            )
        if member.data.fingerprint != trained.data.fingerprint:
            raise UsageError(f"An ensemble needs runs of the same data and split, but those of {name} differ.")
