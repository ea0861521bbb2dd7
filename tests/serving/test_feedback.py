"""The request log of a server, and labels that clients report later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.data import add_file, prepare
from netloom.document import DataChoice
from netloom.monitoring import LogSettings, RequestLog
from netloom.monitoring.log_files import log_folder
from netloom.monitoring.log_reader import LoggedRow, read_log
from netloom.serving.models.served_model import spellings
from netloom.serving.server_settings import ServerSettings
from tests.cli.conftest import called
from tests.serving.asgi import Application
from tests.serving.conftest import Runs


def logging(runs: Runs, home: Path, share: float = 1.0) -> Application:
    """A server with a cache and a request log."""
    application = Application(home, runs.trained, ServerSettings())
    application.state.request_logs["model"] = RequestLog(home, "model", LogSettings(share))
    return application


def rows_of(application: Application) -> list[LoggedRow]:
    return read_log(application.state.home, "model", application.model.run_id, 1_000).rows


def test_answers_of_all_routes_are_logged_also_those_of_the_cache(runs: Runs, tmp_path: Path) -> None:
    application = logging(runs, tmp_path)
    body = json.dumps({**runs.row(0), "api_key": "secret"}).encode()
    first = application.post("/predict", body)
    again = application.post("/predict", body, authorization="Bearer secret")
    application.post("/invocations", json.dumps({"instances": [runs.row(1), runs.row(2)]}).encode())
    tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": runs.row(3)["image"]}
    assert application.post("/v2/models/model/infer", json.dumps({"inputs": [tensor]}).encode()).status == 200
    assert application.post("/predict", b'{"image": "wrong"}').status == 400
    logged = rows_of(application)
    assert [row.id for row in logged[:2]] == [first.headers["x-request-id"], again.headers["x-request-id"]]
    assert [row.row for row in logged] == [1, 1, 1, 2, 1]
    for row, number in zip(logged, (0, 0, 1, 2, 3), strict=True):
        np.testing.assert_allclose(row.input["image"], runs.row(number)["image"])
        answer = runs.answer(number)
        assert row.prediction == answer["prediction"]
        assert row.confidence == pytest.approx(max(answer["probabilities"].values()), rel=1e-4)
        assert row.version == application.model.title
    assert "secret" not in "".join(path.read_text() for path in log_folder(tmp_path, "model").glob("*.jsonl"))
    assert application.state.metrics.cached == 1


def test_large_requests_and_unwritable_texts_are_answered(runs: Runs, tmp_path: Path) -> None:
    application = logging(runs, tmp_path)
    many = application.post("/predict", json.dumps([runs.row(number % 50) for number in range(200)]).encode())
    assert len(many.value) == 200
    assert [row.row for row in rows_of(application)] == list(range(1, 201))
    log = application.state.request_logs["model"]
    with pytest.raises(ValueError, match="surrogates"):
        log.encode({"x"}, [{"x": "\ud800"}], [{}])


def test_a_share_of_the_requests_is_logged(runs: Runs, tmp_path: Path) -> None:
    application = logging(runs, tmp_path, share=0.3)
    for number in range(300):
        assert application.post("/predict", json.dumps(runs.row(number % 20)).encode()).status == 200
    assert 50 <= len(rows_of(application)) <= 130  # ±5 standard deviations


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({}, 200, ""),
        ({"request_id": "unknown"}, 404, "was not sampled"),
        ({"request_id": 5}, 400, "X-Request-Id"),
        ({"label": None}, 422, "not a class"),
        ({"label": "eleven"}, 422, "the classes are"),
        ({"label": ["0"]}, 422, "not a class"),
        ({"row": 2}, 400, "The request has 1 row;"),
        ({"row": True}, 400, "received True"),
        ({"rows": 1}, 400, "unknown key 'rows'"),
        ({"row": 10**30}, 400, "from 1"),
    ],
)
def test_labels_are_checked(runs: Runs, tmp_path: Path, change: dict[str, Any], status: int, words: str) -> None:
    application = logging(runs, tmp_path)
    request_id = application.post("/predict", json.dumps(runs.row(0)).encode()).headers["x-request-id"]
    name = runs.trained.data.schema.target.classes[3]
    reply = application.post("/feedback", json.dumps({"request_id": request_id, "label": name, **change}).encode())
    assert reply.status == status, reply.value
    assert words in json.dumps(reply.value)
    assert [row.label for row in rows_of(application)] == [name if status == 200 else None]


def test_feedback_needs_a_log_and_several_rows_a_number(runs: Runs, tmp_path: Path) -> None:
    without = Application(tmp_path / "without", runs.trained)
    refused = without.post("/feedback", b'{"request_id": "a", "label": "1"}')
    assert refused.status == 409
    assert "--log-requests" in refused.value["error"]
    application = logging(runs, tmp_path)
    body = json.dumps([runs.row(0), runs.row(1)]).encode()
    request_id = application.post("/predict", body).headers["x-request-id"]
    name = runs.trained.data.schema.target.classes[0]
    value = {"request_id": request_id, "label": name}
    refused = application.post("/models/model/feedback", json.dumps(value).encode())
    assert refused.value["error"] == "The request has 2 rows; the key row is the number of one of them, from 1."
    assert application.post("/models/model/feedback", json.dumps({**value, "row": 2}).encode()).status == 200
    assert [row.label for row in rows_of(application)] == [None, name]
    assert application.post("/feedback", json.dumps({"request_id": request_id}).encode()).status == 400


def test_options_of_the_log_are_refused_in_words(runs: Runs) -> None:
    for options, words in (
        (("--log-requests", 2), "from 0 to 1"),
        (("--redact", "image"), "no effect without --log-requests"),
        (("--log-requests", 1, "--redact", "picture"), "the fields are image"),
    ):
        answer = called("--home", runs.home, "serve", runs.first, "--port", 0, *options)
        assert answer.code == 2
        assert words in answer.err


def test_keys_that_have_the_same_value_are_known(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=90, freq="D").strftime("%Y-%m-%d")
    for column, values in (("day", days), ("note", [f"word{number % 7} text" for number in range(90)])):
        frame = pd.DataFrame({column: values, "label": random.choice(["yes", "no"], 90)})
        options = {"text": "note"} if column == "note" else {}
        info = add_file(frame.to_csv(index=False).encode(), "rows.csv", tmp_path, target="label", options=options)
        data = prepare(DataChoice(dataset=info.name), tmp_path)
        groups = spellings(data.fields)
        [group] = [names for names in groups if column in names]
        assert group > {column}, groups
