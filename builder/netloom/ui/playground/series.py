"""Forecasts after the series from which they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from netloom.core.text import number
from netloom.modalities.encoding.cells import RawRow
from netloom.ui.components.charts.charts import MARGIN, TRAIN, VALIDATION
from netloom.ui.playground.state import Key

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from netloom.data import Prepared, Schema
    from netloom.modalities.encoding.field_encoder import FieldEncoder

HEIGHT = 210
MAX_SERIES = 8


def is_forecast(data: Prepared) -> bool:
    """Return whether the predicted numbers are the next values of the input."""
    schema = data.schema
    if schema.target.forecast is not None:
        return True
    # Rows that are windows of one series, with the number that follows.
    return data.raw.contiguous and len(schema.inputs) == 1 and schema.inputs[0].is_sequence


def forecast_chart(field: FieldEncoder[Any], schema: Schema, raw: RawRow, value: Any, run_id: str) -> None:
    """Draw the forecast of each series after its last values, in the units of the data.

    Args:
        value: The prediction: a number, the numbers of the horizon, or these by series.
    """
    forecast = schema.target.forecast
    horizon = forecast.horizon if forecast is not None else 1
    history = np.asarray(field.raw_value(raw), dtype=np.float64).reshape(field.raw_shape)  # (T, D)
    by_series = predicted_by_series(schema, value)
    first = {name: float(np.atleast_1d(numbers)[0]) for name, numbers in by_series.items()}
    st.markdown("### " + " · ".join(f"{name}: {number(step)}" for name, step in list(first.items())[:4]))
    st.caption(
        "The next step"
        + (f", the first of {horizon}." if horizon > 1 else ".")
        + " Indigo: the input. Orange: the forecast, in the units of the data."
    )
    for index, (name, numbers) in enumerate(list(by_series.items())[:MAX_SERIES]):
        past = past_values(history, schema.inputs[0].columns, name)
        if len(by_series) > 1:
            st.caption(name)
        st.plotly_chart(
            _figure(past, np.atleast_1d(np.asarray(numbers, dtype=np.float64))),
            width="stretch",
            config={"displayModeBar": False},
            key=Key.PLOT.of(run_id, index),
            alt=f"Chart: the input and the forecast of {name}",
        )


def predicted_by_series(schema: Schema, value: Any) -> dict[str, float | list[float]]:
    """Return a prediction by the name of its series; the prediction of a single series has no names."""
    if isinstance(value, dict):
        return value
    forecast = schema.target.forecast
    return {forecast.series[0] if forecast is not None else schema.target.name: value}


def past_values(history: np.ndarray, columns: Sequence[str], name: str) -> np.ndarray:
    """Return the values (T,) of a series in the input (T, D), whose channels are `columns`; none if the network does
    not read this series."""
    if history.shape[1] == 1:
        return history[:, 0]
    return history[:, columns.index(name)] if name in columns else np.array([])


def _figure(past: np.ndarray, future: np.ndarray) -> go.Figure:
    """Return a chart of a series (T,) and its forecast (H,), which begins at the last known value."""
    import plotly.graph_objects as go

    figure, steps = go.Figure(), len(past)
    figure.add_scatter(x=list(range(1 - steps, 1)), y=past, mode="lines", name="input", line={"color": TRAIN})
    joined = [*past[-1:], *future]
    positions = list(range(1 - len(past[-1:]), len(future) + 1))
    figure.add_scatter(x=positions, y=joined, mode="lines+markers", name="forecast", line={"color": VALIDATION})
    figure.update_layout(height=HEIGHT, margin={**MARGIN, "t": 6}, showlegend=False, xaxis_title="Steps from now")
    return figure
