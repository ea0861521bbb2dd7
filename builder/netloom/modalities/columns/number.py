"""Numeric columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field as Bounds

from netloom.core.errors import DataError
from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import (
    ColumnKind,
    ColumnSource,
    NumberColumn,
    Preprocessing,
    ReadColumn,
    TrainingColumn,
)
from netloom.modalities.encoding.coercion import symbol_of
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState
from netloom.modalities.row_field import RowField
from netloom.modalities.settings import Settings
from netloom.modalities.statistics import divisor
from netloom.modalities.widgets import Field, NumberInput, Widget

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = 256
Scale = Literal["standard", "minmax", "quantile", "normal", "log1p", "log_standard", "none"]
Impute = Literal["median", "mean", "most_frequent", "constant"]
Fill = Annotated[float, Bounds(ge=-1e30, le=1e30)] | Annotated[str, Bounds(max_length=200)]
SCALES: Mapping[str, Scale] = {
    "Standardized": "standard", "Min-max": "minmax", "Quantiles, uniform": "quantile", "Quantiles, normal": "normal",
    "log(1 + x)": "log1p", "log(1 + x), standardized": "log_standard", "None": "none",
}  # fmt: skip


class NumberSettings(Settings):
    """Imputation and scaling of a number."""

    scale: Scale | None = None
    impute: Impute | None = None
    fill: Fill | None = None
    indicator: bool | None = None


class Number(ColumnKind):
    name, order, priority = "number", 0, 30
    synonyms = ("numeric",)
    settings = NumberSettings
    preprocessing = Preprocessing("scale", SCALES, None)
    missing_label = "Median"
    is_number = is_numeric = True

    def matches(self, values: pd.Series) -> bool:
        import pandas as pd

        return bool(pd.api.types.is_numeric_dtype(values))

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        numbers = source.stored_numbers()
        if numbers is None:
            values = source.values
            numbers = conversion.numbers(values, source.name, source.warnings, source.decimal)
            if numbers is None:
                return []
            numbers = source.keep_numbers(numbers, "" if conversion.stands(values) else "numbers")
        return [NumberColumn(source.name, self.name, values=numbers)]

    def fit(self, column: TrainingColumn) -> NumberState:
        fitted = fit_number(column.name, column.values[column.rows], column.settings)
        symbol = symbol_of(column.written)
        return replace(fitted, grouped=symbol is not None, symbol=symbol or "")

    def refuse(self, name: str, settings: Mapping[str, Any]) -> None:
        super().refuse(name, settings)
        fill = settings.get("fill")
        if isinstance(fill, str):
            raise DataError(
                f"The value that replaces missing values in {name[:80]!r} is a number, received {fill[:60]!r}."
            )

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        fill = settings.get("fill")
        return [] if fill is None else [Field("fill", "Imputation", NumberInput(float(fill)))]

    def describes(self, column: ColumnEncoder) -> bool:
        return isinstance(column, NumberEncoder) and not column.is_boolean and column.date_column is None

    def row_field(self, column: ColumnEncoder) -> RowField:
        return RowField(column.name, {"type": ["number", "null"]}, "FP64")

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        number = _number(value)
        return NumberInput(number, step=_step(column), raw=value)


def fit_number(name: str, values: np.ndarray, settings: Mapping[str, Any]) -> NumberState:
    """Return the fitted imputation and scaling of training values (R,), NaN where one is missing."""
    known = values[~np.isnan(values)]
    indicator = bool(settings.get("indicator"))
    if not len(known):
        return NumberState(name=name, type=NumberEncoder.type, indicator=indicator, median=0.0, mean=0.0, std=1.0)
    impute = settings.get("impute", "median")
    replacement = _replacement(impute, known, settings)
    # Scaled with imputed values, as the network receives them
    filled = np.where(np.isnan(values), replacement, values)
    scaling = _scale(filled, settings.get("scale", "standard"))
    return NumberState(
        name=name,
        type=NumberEncoder.type,
        indicator=indicator,
        median=replacement if impute == "median" else None,
        fill=None if impute == "median" else replacement,
        log=scaling.log,
        quantiles=scaling.quantiles,
        normal=scaling.normal,
        mean=scaling.mean,
        std=scaling.std,
    )


def _replacement(impute: Impute, known: np.ndarray, settings: Mapping[str, Any]) -> float:
    """Return the replacement of missing numbers."""
    if impute == "constant":
        return float(settings["fill"])
    if impute == "mean":
        return float(known.mean())
    if impute == "most_frequent":
        numbers, counts = np.unique(known, return_counts=True)
        return float(numbers[counts.argmax()])
    return float(np.median(known))


class _Scaling(NamedTuple):
    """The part of `NumberState` on the transformation and the scaling."""

    mean: float
    std: float
    log: bool = False
    quantiles: list[float] | None = None
    normal: bool | None = None


def _scale(filled: np.ndarray, scale: Scale) -> _Scaling:
    """Return the offset and divisor of a scaling as `mean` and `std`, and the transformation before it, if any."""
    log = scale in ("log1p", "log_standard")
    if log:
        # Symmetric, as log(1 + x) is undefined for x <= -1
        filled = np.sign(filled) * np.log1p(abs(filled))
    if scale in ("quantile", "normal"):
        shares = np.linspace(0, 1, min(QUANTILES, max(2, len(filled))))
        # Rounding can make quantiles descend (https://github.com/numpy/numpy/issues/14685), which `np.interp` ignores
        quantiles = np.maximum.accumulate(np.quantile(filled, shares))
        return _Scaling(0.0, 1.0, quantiles=quantiles.tolist(), normal=scale == "normal")
    if scale in ("none", "log1p"):
        return _Scaling(0.0, 1.0, log)
    if scale == "minmax":
        low, high = float(filled.min()), float(filled.max())
        return _Scaling(low, high - low or 1.0)
    return _Scaling(float(filled.mean()), divisor(float(filled.std()), float(abs(filled).max())), log)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _step(column: ColumnEncoder) -> float:
    """Return the step of a number input: the largest power of ten up to the standard deviation."""
    deviation = column.step or 1.0
    return float(10.0 ** np.floor(np.log10(deviation))) if deviation > 0 else 1.0
