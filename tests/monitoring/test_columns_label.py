"""Labels of predictions with a number for each of several columns: reported to a server, and measured by monitoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netloom
from netloom.core.text import number
from netloom.monitoring import LogSettings, RequestLog, check
from netloom.monitoring.check import MonitorReport
from netloom.monitoring.labeled import MIN_LABELS
from netloom.monitoring.log_reader import read_log
from netloom.monitoring.promotion import compare_for_promotion
from netloom.runs import TrainedRun
from tests.monitoring.conftest import Watched, columns_run
from tests.serving.asgi import Application, run_apart


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return columns_run(tmp_path_factory.mktemp("columns"))


def rows_of(run: TrainedRun, split: str = "test") -> tuple[list[dict[str, Any]], np.ndarray]:
    """Raw rows of a split with their true numbers (n, 2)."""
    places = run.data.split[split]
    raw = [{name: float(value) for name, value in run.data.row(int(place)).items()} for place in places]
    return raw, run.data.restore(run.data.target[places]).double().numpy()


def test_labels_are_reported_by_name_and_as_in_the_prediction(run: Watched, tmp_path: Path) -> None:
    application = Application(tmp_path, run.trained)
    application.state.request_logs["model"] = RequestLog(tmp_path, "model", LogSettings())
    for label, status in (({"width": 1, "height": 0.5}, 200), ([1.0, 0.5], 200), (1.0, 422), ({"width": 1}, 422)):
        request_id = application.post("/predict", b'{"x": 0.5}').headers["x-request-id"]
        reply = application.post("/feedback", json.dumps({"request_id": request_id, "label": label}).encode())
        assert reply.status == status, reply.value
        if status == 422:
            assert "the numbers of 'width', 'height' by name" in reply.value["error"]
    logged = read_log(tmp_path, "model", application.model.run_id, 9).rows
    assert [row.label for row in logged] == [{"width": 1.0, "height": 0.5}] * 2 + [None] * 2
    feedback = run_apart(application.ask("GET", "/openapi.json")).value["paths"]["/feedback"]["post"]
    label = feedback["requestBody"]["content"]["application/json"]["schema"]["properties"]["label"]
    assert set(label["anyOf"][0]["properties"]) == {"width", "height"}


def monitored(run: Watched, model: str, labels: np.ndarray, rows: list[dict[str, Any]]) -> MonitorReport:
    names = run.trained.data.schema.target.number_names
    run.log(rows, [dict(zip(names, row, strict=True)) for row in labels.tolist()], model=model)
    return check(run.home, model, run.trained)


def test_errors_are_measured_by_column_and_in_all(run: Watched) -> None:
    rows, true = rows_of(run.trained)
    rows, true = rows * 2, np.concatenate([true, true])
    assert len(rows) >= MIN_LABELS
    labeled = monitored(run, "same", true, rows).labeled
    assert labeled is not None
    predicted = np.array([answer["prediction"] for answer in netloom.predict(run.trained, rows)])
    training = rows_of(run.trained, "train")[1]
    scaled = np.abs(predicted - true) / training.std(0)
    assert labeled.error == pytest.approx(scaled.mean(), rel=1e-4)
    assert labeled.test_error == pytest.approx(labeled.error, rel=1e-4)
    assert labeled.title == "Mean absolute error (scaled)"
    assert labeled.value.startswith(number(float(scaled.mean())))
    assert not labeled.is_worse
    assert [column.name for column in labeled.columns] == ["width", "height"]
    for index, column in enumerate(labeled.columns):
        error = predicted[:, index] - true[:, index]
        assert column.mae == pytest.approx(np.abs(error).mean(), rel=1e-4)
        assert column.rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
        assert (column.test_mae, column.test_rmse) == pytest.approx((column.mae, column.rmse), rel=1e-4)


def test_interval_of_an_error_begins_at_0_or_above(run: Watched) -> None:
    rows, _ = rows_of(run.trained)
    label = np.array([answer["prediction"] for answer in netloom.predict(run.trained, rows)])
    label[0] += 1_000
    labeled = monitored(run, "outlier", label, rows).labeled
    assert labeled is not None
    assert "(95% CI 0 to" in labeled.value


def test_drift_of_a_column_with_small_numbers_is_found(run: Watched) -> None:
    """Without scales, a height that is wrong by 10 standard deviations would be hidden by the width in thousands."""
    rows, true = rows_of(run.trained)
    rows, true = rows * 4, np.concatenate([true] * 4)
    moved = true.copy()
    moved[len(rows) // 2 :, 1] += 0.2
    labeled = monitored(run, "moved", moved, rows).labeled
    assert labeled is not None
    assert labeled.is_worse
    assert any("the errors increased" in sentence for sentence in labeled.changes)
    width, height = labeled.columns
    assert width.test_mae is not None
    assert width.mae == pytest.approx(width.test_mae, rel=1e-3)
    assert height.test_mae is not None
    assert height.mae > 2 * height.test_mae


def test_runs_are_compared_by_scaled_errors(run: Watched) -> None:
    gate = compare_for_promotion(run.trained, run.trained, [])
    assert gate.passes
    rows, true = rows_of(run.trained)
    predicted = np.array([answer["prediction"] for answer in netloom.predict(run.trained, rows)])
    scaled = np.abs(predicted - true) / rows_of(run.trained, "train")[1].std(0)
    assert gate.held_out.old == pytest.approx(scaled.mean(), rel=1e-4)
