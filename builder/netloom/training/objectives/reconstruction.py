"""Reconstruction of the input."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from netloom.data.preparation.calibrated import Decoding
from netloom.tasks import reconstruction
from netloom.tasks.regression import LOSSES
from netloom.training.errors import TrainingError
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Panel, PanelPart, Worst
from netloom.training.objectives.losses import ErrorLoss
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.document import Training

# The number of worst and of best rows that are shown with their reconstruction.
SHOWN = 8
# Rounding of values that were scaled to the range from 0 to 1.
TOLERANCE = 1e-4


class Reconstruction(ErrorLoss):
    """Mean squared error, or another loss, between (N, …) and the first input field, in standard deviations of the
    training rows.

    With a likelihood, the loss is the negative log-likelihood of an example in nats, the sum over its values. The
    auxiliary loss of Reparameterize adds β times the KL divergence, so that the training loss of a variational
    autoencoder is the negative evidence lower bound for β = 1. https://arxiv.org/abs/1312.6114
    """

    task = reconstruction.Reconstruction()
    likelihood: str = "none"
    scale: float = 1.0
    # The number of values of an example.
    dimensions: int = 1

    @property
    def samples_latents(self) -> bool:  # type: ignore[override]
        return self.likelihood != "none"

    @property
    def metrics(self) -> Mapping[str, str]:
        return reconstruction.LIKELIHOOD_METRICS if self.likelihood != "none" else self.task.metrics

    def described(self, training: Training, schema: Schema) -> Self:
        if "likelihood" not in self.task.settings:
            return self
        described = copy.copy(self)
        described.likelihood, described.scale = training.likelihood, training.likelihood_scale
        described.dimensions = math.prod(schema.inputs[0].shape)
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = super().configured(training, data, device).described(training, data.schema)
        if configured.likelihood == "bernoulli":
            values = self.target(data)
            low, high = float(values.min()), float(values.max())
            if low < -TOLERANCE or high > 1 + TOLERANCE:
                raise TrainingError(
                    "A Bernoulli likelihood needs inputs between 0 and 1, but the prepared inputs range from "
                    f"{low:.3g} to {high:.3g}; scale them to the range from 0 to 1 on the Data page, or choose a "
                    "Gaussian likelihood."
                )
        return configured

    def titles(self, training: Training) -> Mapping[str, str]:
        if self.likelihood != "none":
            return reconstruction.LIKELIHOOD_METRICS
        is_squared = training.regression_loss == "mse"
        return self.metrics if is_squared else {**self.metrics, "loss": LOSSES[training.regression_loss]}

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.likelihood == "none":
            return super().loss(output, target)
        return negative_log_likelihood(output, target, self.likelihood, self.scale).mean()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        if self.likelihood == "none":
            return super().scores(output, target)
        cost = negative_log_likelihood(output, target, self.likelihood, self.scale).sum()
        return Scores({"nll": cost, "mae": (output - target).abs().flatten(1).mean(1).sum()}, len(target))

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        if self.likelihood == "none":
            return means
        nll, kl, weighted_kl = means["nll"], means["kl"], means["weighted_kl"]
        return {
            "loss": nll + weighted_kl,
            "elbo": -(nll + kl),
            "bits_per_dim": (nll + kl) / self.dimensions / math.log(2),
            "nll": nll,
            "kl": kl,
            "beta": weighted_kl / kl if kl > 0 else 0.0,
            "mae": means["mae"],
        }

    def target(self, data: Prepared) -> torch.Tensor:
        return data.inputs[data.schema.inputs[0].name]

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.mean_of(self.target(data), data.split["train"], rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        all_targets = self.target(data)
        target = all_targets[rows]
        error = row_errors(output, target)
        # Relative to the mean of each value over the training rows, which is the baseline predictor.
        spread = (target - all_targets[data.split["train"]].mean(0)).square().sum()
        order = error.argsort(descending=True).tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "mse": float((output - target).square().mean()),
                "mae": float((output - target).abs().mean()),
                "explained": float(1 - (output - target).square().sum() / spread) if spread > 0 else float("nan"),
            },
            worst=[
                Worst(int(rows[i]), loss, data.target_text(int(rows[i])), f"error {loss:.4g}", None)
                for i in order[:WORST]
                for loss in [float(error[i])]
            ],
            panels=side_by_side(output, data, rows, error),
        )

    def decoding(self, data: Prepared, chosen: Settings) -> Decoding:
        return {"kind": "input"}


def negative_log_likelihood(output: torch.Tensor, target: torch.Tensor, likelihood: str, scale: float) -> torch.Tensor:
    """Return −log p(target | output) of each row in nats, (N,), the sum over its values.

    `output` is the mean of a Gaussian with standard deviation `scale`, the median of a Laplace distribution with the
    same scale b, or the probability of a Bernoulli distribution; its targets may lie between 0 and 1.
    """
    from torch.nn import functional

    if likelihood == "bernoulli":
        # `clamp` guards against networks without a sigmoid; torch bounds the logarithms at −100.
        costs = functional.binary_cross_entropy(output.clamp(0, 1), target.clamp(0, 1), reduction="none")
    elif likelihood == "laplace":
        costs = (output - target).abs() / scale + math.log(2 * scale)
    else:
        costs = 0.5 * ((output - target) / scale).square() + math.log(scale) + 0.5 * math.log(2 * math.pi)
    return costs.flatten(1).sum(1)


def row_errors(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of each row, (N,)."""
    return (output - target).square().flatten(1).mean(1)


def side_by_side(output: torch.Tensor, data: Prepared, rows: torch.Tensor, error: torch.Tensor) -> list[Panel]:
    """Return the rows with the greatest and the least error, each with its reconstruction."""
    order = error.argsort(descending=True).tolist()
    few = order[:SHOWN], [index for index in reversed(order) if index not in order[:SHOWN]][:SHOWN]
    return [
        {
            "row": int(rows[index]),
            "group": group,
            "caption": f"{data.target_text(int(rows[index]))} · error {float(error[index]):.3g}",
            "parts": _parts(output[index], data, int(rows[index])),
        }
        for group, positions in zip(("Worst reconstructions", "Best reconstructions"), few, strict=True)
        for index in positions
    ]


def _parts(output: torch.Tensor, data: Prepared, row: int) -> list[PanelPart]:
    """Return an example and its reconstruction, in the units of the data."""
    field = data.fields[0]
    inputs = data.inputs[field.name][row : row + 1].numpy()
    (before,), (after,) = field.restore(inputs), field.restore(output.unsqueeze(0).numpy())
    spec = data.schema.inputs[0]
    if not spec.is_image:
        title = "Input and reconstruction"
        if spec.is_sequence:
            return [{"title": title, "kind": "series", "values": before, "other": after}]
        return [{"title": title, "kind": "columns", "values": before, "other": after}]
    top = data.image_field(field.name).unit_scale  # from the units of the data to the range from 0 to 1
    return [
        {"title": title, "kind": "picture", "values": _scaled(value, top)}
        for title, value in (("Input", before), ("Reconstruction", after))
    ]


def _scaled(values: Any, factor: float) -> Any:
    return [_scaled(value, factor) for value in values] if isinstance(values, list) else round(values * factor, 4)
