"""Labels of runs with outputs of different kinds: reported to a server, and measured by monitoring."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest

import netloom
from netloom.core.errors import DataError
from netloom.core.plain_json import Json
from netloom.data import add_file
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice, Training
from netloom.monitoring import LogSettings, RequestLog, check
from netloom.monitoring.promotion import compare_for_promotion
from netloom.runs import TrainedRun
from netloom.tasks.true_labels import ClassLabel, NumberLabel, SeveralLabels
from tests.monitoring.conftest import Watched
from tests.networks import project as project_of
from tests.serving.asgi import Application, run_apart

LABELS = SeveralLabels((("color", ClassLabel(("red", "v1.0"))), ("size: cm", NumberLabel())))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A run that predicts a class, and a number in thousands."""
    home = tmp_path_factory.mktemp("several")
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(2, 300))
    rows = zip(x.tolist(), (1000 * (x + 0.1 * noise)).tolist(), strict=True)
    lines = [f"{value!r},{'high' if value > 0 else 'low'},{width!r}" for value, width in rows]
    columns: Json = {name: {"role": "target"} for name in ("level", "width")}
    options: dict[str, Json] = {"task": "several_outputs", "columns": columns}
    info = add_file("\n".join(["x,level,width", *lines]).encode(), "rows.csv", home, options=options)
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "features", "kind": "vector", "shape": [1]}),
        "linear_1": ("Linear", {"units": 2}),
        "linear_2": ("Linear", {"units": 1}),
        "output_1": ("Output", {"name": "level"}),
        "output_2": ("Output", {"name": "width"}),
    }
    edges = [("input_1", "linear_1"), ("input_1", "linear_2"), ("linear_1", "output_1"), ("linear_2", "output_2")]
    training = Training(objective="several_outputs", epochs=20, learning_rate=0.05, device="cpu")
    project = project_of(nodes, edges, data=DataChoice(dataset=info.name), training=training)
    return Watched(home, netloom.train(project, save=True, home=home))


def test_labels_are_reported_by_name(run: Watched, tmp_path: Path) -> None:
    application = Application(tmp_path, run.trained)
    application.state.request_logs["model"] = RequestLog(tmp_path, "model", LogSettings())
    cases: list[tuple[Any, int, str]] = [
        ({"level": "high", "width": 3}, 200, ""),
        ("high", 422, "must have 'level', 'width' by name, received 'high'"),
        ({"level": "high"}, 422, "must have 'level', 'width'"),
        ({"level": "higher", "width": 3}, 422, "level: 'higher' is not a class of the model"),
        ({"level": "high", "width": "3"}, 422, "width: The label must be a number, received '3'"),
    ]
    for label, status, words in cases:
        request_id = application.post("/predict", b'{"x": 0.5}').headers["x-request-id"]
        reply = application.post("/feedback", json.dumps({"request_id": request_id, "label": label}).encode())
        assert reply.status == status, reply.value
        assert words in reply.value.get("error", "")
    feedback = run_apart(application.ask("GET", "/openapi.json")).value["paths"]["/feedback"]["post"]
    schema = feedback["requestBody"]["content"]["application/json"]["schema"]["properties"]["label"]
    jsonschema.validate({"level": "low", "width": 1.5}, schema)


def restored(run: TrainedRun, places: list[int]) -> list[float]:
    """The true widths of rows."""
    fitted = run.data.fitted_targets[1]
    assert isinstance(fitted, FittedNumbers)
    return list(map(float, fitted.restore(run.data.target[places][:, 1:]).flatten()))


def test_the_error_is_the_mean_of_wrong_classes_and_scaled_distances(run: Watched) -> None:
    data = run.trained.data
    places = data.split["test"].tolist()
    rows = [{"x": float(data.row(place)["x"])} for place in places]
    levels = ["high" if row["x"] > 0 else "low" for row in rows]
    widths = restored(run.trained, places)
    run.log(rows, [{"level": level, "width": width} for level, width in zip(levels, widths, strict=True)], model="same")
    labeled = check(run.home, "same", run.trained).labeled
    assert labeled is not None
    predicted = [answer["prediction"] for answer in netloom.predict(run.trained, rows)]
    wrong = np.mean([answer["level"] != level for answer, level in zip(predicted, levels, strict=True)])
    distances = np.abs([answer["width"] - width for answer, width in zip(predicted, widths, strict=True)])
    training = restored(run.trained, data.split["train"].tolist())
    assert labeled.error == pytest.approx((wrong + distances.mean() / np.std(training)) / 2, rel=1e-4)
    assert labeled.test_error == pytest.approx(labeled.error, rel=1e-4)
    assert not labeled.is_worse
    [width] = labeled.columns
    assert width.name == "width"
    assert width.mae == pytest.approx(distances.mean(), rel=1e-4)
    assert width.test_mae == pytest.approx(width.mae, rel=1e-4)


def test_worse_predictions_are_an_alert(run: Watched) -> None:
    data = run.trained.data
    rows = [{"x": float(data.row(place)["x"])} for place in data.split["test"].tolist()]
    run.log(
        rows, [{"level": "high" if row["x"] < 0 else "low", "width": -1000 * row["x"]} for row in rows], model="worse"
    )
    labeled = check(run.home, "worse", run.trained).labeled
    assert labeled is not None
    assert labeled.is_worse
    assert labeled.alerts[0].startswith("Mean error (scaled) is worse: ")


def test_a_run_is_compared_with_itself(run: Watched) -> None:
    gate = compare_for_promotion(run.trained, run.trained, [({"x": 0.5}, {"level": "high", "width": 500.0})])
    assert gate.reason == ""


def test_typed_labels_are_read_and_written() -> None:
    label = {"color": "v1.0", "size: cm": 2.0}
    assert LABELS.check({"size: cm": 2, "color": "v1.0"}) == label
    assert LABELS.text(label) == "color: v1.0\nsize: cm: 2"
    assert LABELS.parse("size: cm: 2\n\ncolor: v1.0") == label
    assert LABELS.in_short({"color": "red", "size: cm": 1234567.25}) == "color: red, size: cm: 1.23457e+06"
    jsonschema.validate(label, LABELS.schema)
    for text, words in (
        ("color: red", "no line for 'size: cm'"),
        ("color: red\ncolor: red", "'color' has two lines"),
        ("age: 3", "does not begin with a target and a colon; they are 'color', 'size: cm'"),
        ("color: blue\nsize: cm: 2", "^color: 'blue' is not a class"),
        ("color: red\nsize: cm: big", "^size: cm: The label must consist of numbers"),
    ):
        with pytest.raises(DataError, match=words):
            LABELS.parse(text)


def test_the_distance_of_numbers_is_divided_by_their_unit() -> None:
    label = {"color": "red", "size: cm": 10.0}
    scaled = SeveralLabels(LABELS.parts, (1.0, 4.0))
    assert scaled.error({"color": "v1.0", "size: cm": 12.0}, label) == (1 + 2 / 4) / 2
    differences = scaled.differences({"color": "v1.0", "size: cm": 12.0}, label)
    assert differences is not None
    assert differences.tolist() == [[2.0]], "in the unit of the data"
    for prediction in (None, "red", {"color": "red"}, {"color": "red", "size: cm": math.nan}):
        assert scaled.error(prediction, label) == math.inf
        assert scaled.differences(prediction, label) is None


def test_only_equal_targets_are_comparable() -> None:
    assert LABELS.is_comparable(SeveralLabels(LABELS.parts, (1.0, 2.0)))
    assert not LABELS.is_comparable(SeveralLabels(LABELS.parts[::-1]))
    assert not LABELS.is_comparable(SeveralLabels((("color", ClassLabel(("red", "blue"))), LABELS.parts[1])))
    assert not LABELS.is_comparable(NumberLabel())
