"""Metrics of forecasts against closed forms: MASE, naive errors, scaled errors, series and steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from netloom.core.plain_json import Json, JsonObject
from netloom.data import Prepared, add_file, prepare
from netloom.document import DataChoice
from netloom.explain.core.targets import choose, select
from netloom.training import OBJECTIVES
from netloom.training.objectives.evaluation import Evaluation

REGRESSION: Any = OBJECTIVES["regression"]
WINDOW, HORIZON, PERIOD = 10, 4, 6


def series(home: Path, targets: list[str], **options: Json) -> Prepared:
    random = np.random.default_rng(0)
    season = np.sin(2 * np.pi * np.arange(240) / PERIOD)
    table = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=240, freq="h"),
            "small": season + 0.3 * random.normal(size=240),
            "large": 500 + 80 * season + 30 * random.normal(size=240),
        }
    )
    given: JsonObject = {"target": targets, "window": WINDOW, "horizon": HORIZON, "period": PERIOD, **options}
    info = add_file(table.to_csv(index=False).encode(), "s.csv", home, kind="series", options=given)
    return prepare(DataChoice(dataset=info.name), home)


def evaluated(data: Prepared, seed: int = 0) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """The evaluation of a noisy forecast of the test rows, with true and predicted values (N, C, horizon)."""
    rows = data.split["test"]
    noise = torch.randn(data.target[rows].shape, generator=torch.Generator().manual_seed(seed))
    output = data.target[rows] + 0.4 * noise
    evaluation = REGRESSION.evaluate(output, data, rows, "test")
    evaluation = REGRESSION.extend_evaluation(evaluation, output, None, data, rows)
    count = data.schema.target.shape[0] // HORIZON
    true, predicted = (
        data.restore(values).double().numpy().reshape(-1, count, HORIZON) for values in (data.target[rows], output)
    )
    return evaluation, true, predicted


def closed_form_scale(values: np.ndarray, train_steps: int) -> float:
    """The mean absolute error of the seasonal naive forecast in the sample, as in sktime's `sp`."""
    train = values[:train_steps]
    return float(np.mean(np.abs(train[PERIOD:] - train[:-PERIOD])))


def columns_of(data: Prepared) -> np.ndarray:
    """The values (T, channels) of the upload, from its windows."""
    windows = np.stack([data.row(row)["series"] for row in range(len(data.target))])
    return np.concatenate([windows[0], windows[1:, -1]])


def test_mase_matches_its_closed_form(home: Path) -> None:
    data = series(home, ["small", "large"])
    evaluation, true, predicted = evaluated(data)
    train_steps = len(data.split["train"]) + WINDOW + HORIZON - 1
    values = columns_of(data)
    scales = [closed_form_scale(values[:, index], train_steps) for index in range(2)]
    expected = [
        mean_absolute_error(true[:, index].ravel(), predicted[:, index].ravel()) / scales[index] for index in range(2)
    ]
    assert evaluation.metrics["mase"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert evaluation.report is not None
    assert [row["mase"] for row in evaluation.report] == pytest.approx(expected, rel=1e-4)


def test_errors_of_several_series_are_scaled_by_the_training_part(home: Path) -> None:
    data = series(home, ["small", "large"])
    evaluation, true, predicted = evaluated(data)
    train = columns_of(data)[: len(data.split["train"]) + WINDOW + HORIZON - 1]
    std = train.std(0)[:, None]
    assert evaluation.metrics["scaled_rmse"] == pytest.approx(
        root_mean_squared_error((true / std).ravel(), (predicted / std).ravel()), rel=1e-4
    )
    assert evaluation.metrics["scaled_mae"] == pytest.approx(np.abs((true - predicted) / std).mean(), rel=1e-4)
    assert "rmse" not in evaluation.metrics
    assert "scaled" in evaluation.unit


def test_reports_have_each_series_in_its_unit_and_each_step(home: Path) -> None:
    data = series(home, ["small", "large"])
    evaluation, true, predicted = evaluated(data)
    assert evaluation.report is not None
    assert evaluation.parts_report is not None
    assert [row["series"] for row in evaluation.report] == ["small", "large"]
    assert [row["step"] for row in evaluation.parts_report] == ["+1", "+2", "+3", "+4"]
    assert evaluation.horizon_errors is not None
    for row in evaluation.horizon_errors:
        (of_series,) = [line for line in evaluation.report or () if line["series"] == row["series"]]
        assert np.mean([row[f"+{step}"] for step in range(1, 5)]) == pytest.approx(of_series["mae"])
    scaled = {line["series"]: float(line["scaled_mae"] or 0) for line in evaluation.report or ()}
    assert [row["series"] for row in evaluation.horizon_errors] == sorted(scaled, key=lambda name: -scaled[name])
    for index, row in enumerate(evaluation.report):
        assert row["mae"] == pytest.approx(np.abs(true - predicted)[:, index].mean(), rel=1e-4)
        assert row["rmse"] == pytest.approx(np.sqrt(np.square(true - predicted)[:, index].mean()), rel=1e-4)
    steps = [row["scaled_mae"] for row in evaluation.parts_report]
    assert np.mean(np.array(steps, dtype=float)) == pytest.approx(evaluation.metrics["scaled_mae"], rel=1e-4)


def test_naive_forecast_beside_the_network_repeats_the_season(home: Path) -> None:
    data = series(home, ["small", "large"])
    evaluation, true, _ = evaluated(data)
    rows, values = data.split["test"].numpy(), columns_of(data)
    naive = np.stack([values[row + WINDOW - PERIOD :][:HORIZON].T for row in rows])
    assert evaluation.report is not None
    for index, row in enumerate(evaluation.report):
        assert row["naive_mae"] == pytest.approx(np.abs(true - naive)[:, index].mean(), rel=1e-4)
    reference = REGRESSION.reference(data, data.split["test"], "test")
    assert reference.title == f"Seasonal naive, period {PERIOD}"
    assert set(reference.metrics) == set(evaluation.metrics)


def test_one_series_keeps_its_unit_and_reports_steps(home: Path) -> None:
    data = series(home, ["large"])
    evaluation, true, predicted = evaluated(data)
    assert evaluation.metrics["mae"] == pytest.approx(np.abs(true - predicted).mean(), rel=1e-4)
    assert evaluation.unit == "Errors are in the unit of large."
    assert evaluation.report is not None
    assert evaluation.parts_report is None
    assert [row["mae"] for row in evaluation.report] == pytest.approx(np.abs(true - predicted).mean((0, 1)), rel=1e-4)


def test_mase_of_the_naive_forecast_of_a_random_walk_is_one() -> None:
    from netloom.data.raw.forecast import Forecast

    values = np.cumsum(np.random.default_rng(1).normal(size=2_000))[:, None]
    rows = np.arange(1_990)
    forecast = Forecast(values, ("walk",), (0,), rows, 9, 1, 1)
    error = np.abs(forecast.naive(rows, 1)[:, 0, 0] - values[rows + 9, 0]).mean()
    assert error / forecast.naive_errors(rows)[0] == pytest.approx(1, rel=0.01)


def test_constant_series_have_no_scaled_error() -> None:
    from netloom.data.raw.forecast import Forecast

    values = np.stack([np.full(50, 0.1), np.arange(50.0)], 1)
    forecast = Forecast(values, ("flat", "line"), (0, 1), np.arange(40), 9, 1, 3)
    assert np.isnan(forecast.naive_errors(np.arange(40))[0])
    assert forecast.naive_errors(np.arange(40))[1] == 3
    assert forecast.deviations(np.arange(40))[0] == 1


def test_explained_number_is_chosen_by_series_and_step(home: Path) -> None:
    data = series(home, ["small", "large"])
    output = data.target[:3]
    target = choose("large +2", output[:1], data, {})
    assert (target.index, target.name) == (HORIZON + 1, "large +2")
    explained = select(target, output, data)
    assert explained.tolist() == pytest.approx(data.raw.target[:3, HORIZON + 1].tolist(), rel=1e-4)
