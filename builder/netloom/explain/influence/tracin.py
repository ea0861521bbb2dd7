"""TracInCP, shared by both of its uses: the training rows that are compared, their gradients, and their description.

The influence of a training row is the sum over checkpoints of the learning rate times the dot product of the gradients
of the two rows' losses: the first-order change of the example's loss when training on that row.

Pruthi et al. 2020, https://arxiv.org/abs/2002.08484. Here, at most 20,000 training rows are sampled, large networks use
the weights of their last layer only, and a row also counts by its weight in the training loss.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.explain.core.checkpoint_path import Trained
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.network.cost import measure_network
from netloom.explain.core.row_predictions import describe_predictions
from netloom.explain.evidence.model_check import ModelCheck, model_check
from netloom.training.weights.weight_files import read_weights

if TYPE_CHECKING:
    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

URL = "https://arxiv.org/abs/2002.08484"
MAX_ROWS = 20_000
# The cost of a directional derivative of a row's loss in forward passes. In forward mode, each matrix product adds the
# products of both tangents, so it takes 3, as `FlopCounterMode` measures; double backward takes 5 to 7.
DERIVATIVE_COST = 3
# Above this many FLOPs, only the weights of the last layer are used.
FLOP_BUDGET = 2e12


@dataclass(frozen=True)
class InfluentialRow:
    """A training row with its influence, its loss and label, the current prediction, and the confidence from 0 to 1."""

    row: int
    influence: float
    loss: float
    label: str
    prediction: str
    confidence: float | None


def unavailable_reason(trained: Trained) -> str:
    """Return why TracInCP is unavailable for this network, as a sentence; empty if it is available."""
    if trained.variant:
        return "Influence follows the checkpoints of training, which a variant does not have; choose the run itself."
    objective = trained.objective
    if objective.task.environment:
        return "This agent learned by acting and not from the rows of a dataset, so there are no training examples."
    if objective.task.alternating or objective.task.paired_views:
        return "The loss is defined for a whole batch, and TracInCP needs the loss of single rows."
    return ""


def check_available(trained: Trained) -> None:
    """Check that TracInCP is available for this network.

    Raises:
        ExplainError: The loss is not defined for single rows.
    """
    reason = unavailable_reason(trained)
    if reason:
        raise ExplainError(f"Influential training examples cannot be computed: {reason}")


def sampled_gradients(trained: Trained, progress: Any, stages: int) -> tuple[PerSampleGradients, np.ndarray]:
    """Return the gradients of the network, and the sampled training rows (N,)."""
    from netloom.compile.logit_network import with_logits
    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

    objective = trained.objective.configured(trained.project.training, trained.data, "cpu")
    model = with_logits(trained.project, trained.model, trained.data.schema)
    gradients = PerSampleGradients(model, objective, trained.data, trained.fields, progress)
    rows = trained.data.split["train"].numpy()
    if len(rows) > MAX_ROWS:
        # A fixed sample, so that all examples are explained by the same rows
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_ROWS, replace=False))
    if measure_network(trained.project).totals.flops * DERIVATIVE_COST * len(rows) * stages > FLOP_BUDGET:
        gradients.narrow()
    return gradients, rows


def load_weights(gradients: PerSampleGradients, trained: Trained, path: Path | None) -> None:
    """Load the weights of a checkpoint, or the current weights if `path` is None."""
    gradients.take(read_weights(path) if path is not None else trained.model.state_dict())


def describe_parameters(gradients: PerSampleGradients) -> str:
    """Return in words which parameters the gradients are those of."""
    names = [name for name, _ in gradients.model.named_parameters()]
    count = sum(value.numel() for value in gradients.weights.values())
    if gradients.names[0] == names[0] or len({name.rpartition(".")[0] for name in gradients.names}) > 1:
        return f"all {count:,} parameters"
    return f"the {count:,} parameters of {gradients.names[-1].rpartition('.')[0]}"


def describe_rows(
    trained: Trained, gradients: PerSampleGradients, rows: np.ndarray
) -> list[tuple[str, str, float | None]]:
    """Return the label, the prediction and its confidence for each row."""
    if not len(rows):
        return []
    descriptions = []
    for start in range(0, len(rows), 512):
        batch = rows[start : start + 512]
        inputs = dict(zip(gradients.fields, gradients.inputs(batch), strict=True))
        descriptions += describe_predictions(trained, gradients.answers(batch), inputs)
    return [
        (trained.data.target_text(int(row))[:200], *description)
        for row, description in zip(rows, descriptions, strict=True)
    ]


def check_quality(trained: Trained, weights: str) -> ModelCheck | None:
    """Check whether the model itself beats a trivial predictor; influences on a model at chance are noise."""
    return model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )


def plain_values(result: Any) -> dict[str, Any]:
    """Convert a dataclass to plain JSON values."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(result).items()}
