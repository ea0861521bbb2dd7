"""Regression of one or more numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING, Self

from netloom.data.targets.numbers import numbers_text
from netloom.tasks import regression
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Residuals, ScoreRow, Worst
from netloom.training.objectives.forecast_scores import SCALED, centered, mase, scaled_to, with_forecast_reports
from netloom.training.objectives.losses import ErrorLoss
from netloom.training.objectives.objective import NOTHING, WORST, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared, Schema
    from netloom.data.schema import TargetSpec
    from netloom.document import Training


# Those of several series times steps are many, and charts draw no more.
MAX_RESIDUALS = 20_000
SEVERAL = (
    "RMSE and MAE are over all numbers in the units of the data, so large numbers dominate. The scaled ones, by which "
    "networks are compared, are in standard deviations of each number over the training rows. R² is the mean over the "
    "numbers."
)


class Regression(ErrorLoss):
    """Mean squared error or another loss between (N, k) and (N, k), in standard deviations of the training targets.

    The absolute error on curves is in the units of the evaluation, and has its name.
    """

    task = regression.Regression()
    # The quantile to predict; None: the minimizer of the loss, such as the mean for squared error.
    quantile: float | None = None
    is_scaled: bool = False  # whether errors are over several series, whose units differ
    # One standardized target in units of the evaluation, (k,); None: the targets are not standardized.
    unit: torch.Tensor | None = None

    @property
    def metrics(self) -> Mapping[str, str]:
        return regression.SCALED_METRICS if self.is_scaled else super().metrics

    def described(self, training: Training, schema: Schema) -> Self:
        described, forecast = copy.copy(self), schema.target.forecast
        described.quantile = training.quantile if training.regression_loss == "quantile" else None
        described.is_scaled = forecast is not None and len(forecast.series) > 1
        return described

    def configured(self, training: Training, data: Prepared, device: str) -> Self:
        configured = super().configured(training, data, device).described(training, data.schema)
        forecast, scales = data.schema.target.forecast, data.forecast_scales
        unit = data.target.new_tensor(data.fitted_numbers.std)
        if configured.is_scaled and forecast is not None and scales is not None:
            unit = scaled_to(unit[None], forecast, scales)[0]
        configured.unit = unit.to(device)
        return configured

    def titles(self, training: Training) -> dict[str, str]:
        return {**self.metrics, "loss": regression.LOSSES[training.regression_loss]}

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        scores, unit = super().scores(output, target), self.unit
        error = (output - target).abs()
        name = regression.SCALED_ERROR if self.is_scaled else regression.ABSOLUTE_ERROR
        sums = {"loss": scores.sums["loss"], name: (error if unit is None else error * unit).sum()}
        return Scores(sums, scores.count)

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        forecast = reference_predictors.forecast(data, rows)
        if forecast is not None or self.quantile is None:
            return forecast or reference_predictors.mean(data, rows)
        return reference_predictors.quantile(data, rows, "Training quantile", self.quantile)

    def other_trivials(self, data: Prepared, rows: torch.Tensor) -> Sequence[BaselinePrediction]:
        """Return the constants that are best by the absolute and, if a quantile is predicted, the squared error."""
        if reference_predictors.can_forecast(data):
            return ()
        median = reference_predictors.quantile(data, rows, "Median", 0.5)
        if self.quantile is None:
            return [median]
        return [BaselinePrediction("Mean", reference_predictors.mean(data, rows).output), median]

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        spec = data.schema.target
        predicted, target = data.restore(output), data.restore(data.target[rows])  # in the units of the data
        metrics = self._of_quantile(target - predicted)
        forecast, scales = spec.forecast, data.forecast_scales
        name = spec.name if forecast is None else forecast.series[0]
        several = forecast is None and target[0].numel() > 1
        prefix, unit, restored = "", SEVERAL if several else f"Errors are in the unit of {name}.", (predicted, target)
        if forecast is not None and scales is not None and len(forecast.series) > 1:
            prefix, unit = "scaled_", SCALED
            predicted, target = (scaled_to(values, forecast, scales) for values in restored)
        error = predicted - target
        metrics |= {**_errors(error, prefix), "r2": _r2(target, error, several=several)}
        common_error = error  # in one unit, or in standard deviations
        if several:
            common_error = error / error.new_tensor(data.fitted_numbers.std)
            metrics |= _errors(common_error, "scaled_")
        if forecast is not None and scales is not None:
            metrics["mase"] = mase(restored[0] - restored[1], forecast, scales)
        size = common_error.abs().flatten(1).mean(1)
        worst = size.argsort(descending=True)[:WORST].tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics=metrics,
            unit=unit,
            report=_each(spec, target, error) if several else None,
            residuals=_residuals(target, predicted, most=MAX_RESIDUALS if prefix else None),
            worst=[
                Worst(int(rows[i]), float(size[i]), _text(spec, restored[1][i]), _text(spec, restored[0][i]), None)
                for i in worst
            ],
        )

    def extend_evaluation(
        self,
        evaluation: Evaluation,
        output: torch.Tensor,
        ask: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
        data: Prepared,
        rows: torch.Tensor,
    ) -> Evaluation:
        """Add the metrics of each series and step of a forecast, beside those of the naive forecast."""
        target, scales = data.schema.target.forecast, data.forecast_scales
        baseline = reference_predictors.forecast(data, rows)
        if target is None or scales is None or baseline is None:
            return evaluation
        true = data.restore(data.target[rows])
        error, naive = (data.restore(values) - true for values in (output, baseline.output))
        return with_forecast_reports(evaluation, error, naive, true, target, scales)

    def _of_quantile(self, over: torch.Tensor) -> dict[str, float]:
        """Return the pinball loss of targets that are `over` the prediction by this much, and the coverage."""
        share = self.quantile
        if share is None:
            return {}
        pinball = (share * over).maximum((share - 1) * over).mean()
        return {"pinball": float(pinball), "coverage": float((over <= 0).double().mean())}


def _errors(error: torch.Tensor, prefix: str) -> dict[str, float]:
    return {f"{prefix}rmse": float(error.square().mean().sqrt()), f"{prefix}mae": float(error.abs().mean())}


def _r2(target: torch.Tensor, error: torch.Tensor, *, several: bool) -> float:
    """Return R², around the mean of each of the k numbers (N, k); NaN if no number varies.

    The mean of those of `several` numbers, as scikit-learn's uniform average, because their units can differ. The
    numbers of a forecast have one unit and share it.
    """
    spread, square = ((values**2).flatten(1).sum(0) for values in (centered(target), error))
    if not several:
        spread, square = spread.sum()[None], square.sum()[None]
    return float((1 - square / spread)[spread > 0].mean())


def _each(spec: TargetSpec, target: torch.Tensor, error: torch.Tensor) -> list[ScoreRow]:
    """Return the metrics of each of several numbers (N, k), such as each step of a horizon."""
    columns = [
        values.flatten(1).mean(0).tolist() for values in (error.square(), error.abs(), centered(target).square())
    ]
    return [
        {"output": name, "rmse": mse**0.5, "mae": mae, "r2": 1 - mse / around if around > 0 else float("nan")}
        for name, mse, mae, around in zip(spec.number_names, *columns, strict=True)
    ]


def _text(spec: TargetSpec, values: torch.Tensor) -> str:
    """Return the numbers (k,) of a row in words."""
    return numbers_text(spec, values.flatten().tolist())


def _residuals(target: torch.Tensor, predicted: torch.Tensor, most: int | None) -> Residuals:
    """Return the numbers of all rows, or of at most about `most` evenly spaced ones."""
    step = 1 if most is None else max(1, target.numel() // most)
    while step > 1 and gcd(step, target[0].numel()) > 1:  # so that each number of a row is drawn
        step += 1
    return {"target": target.flatten()[::step].tolist(), "predicted": predicted.flatten()[::step].tolist()}
