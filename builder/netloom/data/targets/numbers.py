"""Targets with one or several numbers per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netloom.core.text import number
from netloom.data.raw.series import forecast_of
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.data.targets.target import LastField, Target
from netloom.modalities.statistics import deviations

# The steps of each series that a text of several series names.
STEPS = 3
# The number of quantile bins of numbers for a stratified split.
BINS = 10


class NumberTarget(Target[FittedNumbers]):
    """Numbers (R, k), standardized with the training rows."""

    kind = "number"

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedNumbers:
        forecast = forecast_of(raw)
        if forecast is not None and forecast.is_multivariate:
            # A series has one scaling for all steps of the horizon; each training time step counts once
            values = forecast.values[forecast.steps(rows)][:, list(forecast.targets)]
            mean, std = (np.repeat(numbers, forecast.horizon) for numbers in (values.mean(0), deviations(values)))
            series = forecast.target.series
            return FittedNumbers(self.kind, raw.target_name, tuple(mean.tolist()), tuple(std.tolist()), series)
        train = raw.target[rows].astype(np.float64)
        mean, std = train.mean(0), deviations(train)
        return FittedNumbers(self.kind, raw.target_name, tuple(mean.tolist()), tuple(std.tolist()))

    def fitted(self, state: Mapping[str, Any]) -> FittedNumbers:
        series = tuple(state.get("series", ()))
        return FittedNumbers(self.kind, state["name"], tuple(state["mean"]), tuple(state["std"]), series)

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        forecast = forecast_of(raw)
        target = None if forecast is None else forecast.target
        columns, shape = tuple(part.name for part in raw.target_parts), tuple(raw.target.shape[1:])
        return TargetSpec(self.kind, raw.target_name, raw.classes, shape, forecast=target, columns=columns)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedNumbers) -> np.ndarray:
        return fitted.scale(raw.target)

    def text(self, spec: TargetSpec, fitted: FittedNumbers, value: Any, raw: RawDataset, index: int) -> str:
        numbers = value * np.array(fitted.std) + np.array(fitted.mean)
        return numbers_text(spec, numbers.ravel().tolist())

    def strata(self, raw: RawDataset) -> np.ndarray:
        # Only the first of several numbers is stratified
        numbers = raw.target.reshape(len(raw), -1)[:, 0]
        edges = np.quantile(numbers, np.arange(1, BINS) / BINS)
        return np.searchsorted(edges, numbers, side="right")


def numbers_text(spec: TargetSpec, values: Sequence[float]) -> str:
    """Return the numbers of a target in words; those of several series by name, with their first steps."""
    if spec.forecast is None or len(spec.forecast.series) == 1:
        return ", ".join(map(number, values))
    horizon = spec.forecast.horizon
    more = ", …" if horizon > STEPS else ""
    return "; ".join(
        f"{name}: {', '.join(map(number, values[series_index * horizon :][: min(STEPS, horizon)]))}{more}"
        for series_index, name in enumerate(spec.forecast.series)
    )
