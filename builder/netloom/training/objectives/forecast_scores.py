"""The metrics of forecasts: over all numbers, of each series and of each step, beside the naive forecast.

One series has the unit of the data. Several may have different units, so that their common errors are scaled: divided
by the standard deviation of each series over the training part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.training.objectives.evaluation import Evaluation, ScoreRow

if TYPE_CHECKING:
    import torch

    from netloom.data.preparation.prepared_data import ForecastScales
    from netloom.data.schema import ForecastTarget

SCALED = (
    "Errors over several series are scaled: in standard deviations of each series over the training part. MAE and RMSE "
    "of one series are in its own unit."
)


def scaled_to(values: torch.Tensor, target: ForecastTarget, scales: ForecastScales) -> torch.Tensor:
    """Return numbers (N, C * horizon) in standard deviations of each series."""
    import torch

    deviations = torch.from_numpy(scales.deviations).to(values.dtype)
    return values / deviations.repeat_interleave(target.horizon)


def centered(values: torch.Tensor) -> torch.Tensor:
    """Return numbers (N, …) minus their mean over the rows; exactly 0 where all rows are equal."""
    shifted = values - values[:1]  # the mean of equal numbers can differ from them in the last digit
    return shifted - shifted.mean(0)


def mase(error: torch.Tensor, target: ForecastTarget, scales: ForecastScales) -> float:
    """Return the mean absolute scaled error over the series, from errors (N, C * horizon) in units of the data.

    It is the mean of those of each series, without those whose naive forecast has no error. Hyndman and Koehler, 2006,
    https://doi.org/10.1016/j.ijforecast.2006.03.001.
    """
    import torch

    absolute = _by_series(error, target).abs().double().mean((0, 2))
    return float((absolute / torch.from_numpy(scales.naive_errors)).nanmean())


def with_forecast_reports(
    evaluation: Evaluation,
    error: torch.Tensor,
    naive: torch.Tensor,
    true: torch.Tensor,
    target: ForecastTarget,
    scales: ForecastScales,
) -> Evaluation:
    """Return the evaluation with the scores of each series and of each step, where there are several.

    Args:
        error: The errors (N, C * horizon) of the network in units of the data; likewise `naive` those of the naive
            forecast, and `true` the true values.
    """
    several = len(target.series) > 1
    errors = [_by_series(values, target).double() for values in (error, naive, true)]
    by_series = [
        _series_row(name, [part[:, series_index] for part in errors], float(scales.naive_errors[series_index]))
        | (_scaled_row([part[:, series_index] for part in errors[:2]], float(scales.deviations[series_index])))
        for series_index, name in enumerate(target.series)
    ]
    by_step = [_step_row(step, errors, scales, several=several) for step in range(target.horizon)]
    reports = [rows for rows in (by_series if several else None, by_step if target.horizon > 1 else None) if rows]
    first, second = (*reports, None, None)[:2]
    return replace(
        evaluation,
        report=first,
        parts_report=second,
        horizon_errors=_by_series_and_step(errors[0], target, scales) if len(reports) == 2 else None,
    )


def _by_series(values: torch.Tensor, target: ForecastTarget) -> torch.Tensor:
    """Return numbers (N, C * horizon) as (N, C, horizon)."""
    return values.reshape(len(values), len(target.series), target.horizon)


def _by_series_and_step(error: torch.Tensor, target: ForecastTarget, scales: ForecastScales) -> list[ScoreRow]:
    """Return the mean absolute errors of each series, from errors (N, C, horizon); the largest scaled error first."""

    absolute = error.abs().mean(0)
    order = sorted(
        range(len(target.series)),
        key=lambda series_index: -float(absolute[series_index].mean() / scales.deviations[series_index]),
    )
    return [
        {"series": target.series[series_index]}
        | {f"+{step}": value for step, value in enumerate(absolute[series_index].tolist(), 1)}
        for series_index in order
    ]


def _series_row(name: str, parts: list[torch.Tensor], scale: float) -> ScoreRow:
    """Return the scores of one series from errors, naive errors and true values (N, horizon), in its unit."""
    error, naive, true = parts
    return {
        "series": name,
        "mae": _mae(error),
        "naive_mae": _mae(naive),
        "rmse": _rmse(error),
        "naive_rmse": _rmse(naive),
        "r2": _r2(error, true),
        "mase": _mae(error) / scale,
        "naive_mase": _mae(naive) / scale,
    }


def _scaled_row(parts: list[torch.Tensor], deviation: float) -> ScoreRow:
    error, naive = (part / deviation for part in parts)
    return {"scaled_mae": _mae(error), "naive_scaled_mae": _mae(naive)}


def _step_row(step: int, parts: list[torch.Tensor], scales: ForecastScales, *, several: bool) -> ScoreRow:
    """Return the scores of one step from errors, naive errors and true values (N, C, horizon)."""
    import torch

    deviations, divisors = torch.from_numpy(scales.deviations), torch.from_numpy(scales.naive_errors)
    error, naive, true = (part[:, :, step] for part in parts)
    mase, naive_mase = (float((values.abs().mean(0) / divisors).nanmean()) for values in (error, naive))
    prefix = "scaled_" if several else ""
    if several:
        error, naive, true = (values / deviations for values in (error, naive, true))
    return {
        "step": f"+{step + 1}",
        f"{prefix}mae": _mae(error),
        f"naive_{prefix}mae": _mae(naive),
        f"{prefix}rmse": _rmse(error),
        f"naive_{prefix}rmse": _rmse(naive),
        "r2": _r2(error, true),
        "mase": mase,
        "naive_mase": naive_mase,
    }


def _mae(error: torch.Tensor) -> float:
    return float(error.abs().mean())


def _rmse(error: torch.Tensor) -> float:
    return float(error.square().mean().sqrt())


def _r2(error: torch.Tensor, true: torch.Tensor) -> float:
    """Return the share of the variance around the mean of each number that is explained; NaN without variance."""
    spread = centered(true).square().sum()
    return float(1 - error.square().sum() / spread) if spread > 0 else float("nan")
