"""The versions behind a name, without a network."""

from __future__ import annotations

import asyncio
import json
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from netloom.modalities.row_field import RowField
from netloom.serving.deployment import Deployment
from netloom.serving.errors import RequestError
from netloom.serving.models.served_model import ServedModel
from netloom.serving.routes.models import check_replaceable
from netloom.serving.server_settings import ServerSettings
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Runs


def test_an_answer_from_the_cache_takes_an_outcome(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained, ServerSettings())
    application.state.default.set_canary(application.model, 0.5)
    row = json.dumps(runs.row(0)).encode()
    for _ in range(2):
        answered = application.post("/predict", row)
        outcome = json.dumps({"request_id": answered.headers["x-request-id"], "value": 1}).encode()
        assert application.post("/outcome", outcome).status == 200


def test_a_canary_that_predicts_nan_has_significantly_more_errors(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)
    deployment = application.state.default
    broken = ServedModel("model", replace(runs.trained, model=deepcopy(runs.trained.model)), max_rows=1)
    with torch.no_grad():
        for parameter in broken.trained.model.parameters():
            parameter.fill_(torch.nan)
    deployment.set_canary(broken, 0.5)

    async def ask() -> list[int]:
        body = json.dumps(runs.row(0)).encode()
        replies = [await application.ask("POST", "/predict", body) for _ in range(60)]
        return [reply.status for reply in replies]

    statuses = run_apart(ask())
    value = deployment.comparison()
    assert value["canary"]["errors"] == value["canary"]["requests"] == statuses.count(422) > 0
    assert value["current"]["errors"] == 0
    assert value["canary"]["error_share"]["is_significant"]


def test_another_current_version_starts_the_comparison_anew(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)
    deployment = application.state.default

    async def ask() -> None:
        for number in range(4):
            await application.ask("POST", "/predict", json.dumps(runs.row(number)).encode())
        async with asyncio.timeout(30):  # the shadow answers after the current version
            while deployment.agreement is not None and deployment.agreement.rows < 4:
                await asyncio.sleep(0.01)

    def counts() -> list[int]:
        value = deployment.comparison()
        return [value["current"]["requests"] + value["canary"]["requests"], value["shadow"]["rows"]]

    other = copy(application.model)
    other.version = "other"
    deployment.set_canary(other, 0.0)
    deployment.set_shadow(other)
    run_apart(ask())
    assert counts() == [4, 4]
    deployment.replace(application.model)
    assert counts() == [0, 0]
    run_apart(ask())
    deployment.rollback()
    assert counts() == [0, 0]


def test_a_shadow_that_fails_does_not_agree_and_says_why(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)
    deployment = application.state.default
    network = deepcopy(runs.trained.model)
    shadow_model = ServedModel("model", replace(runs.trained, model=network), max_rows=1)
    network.register_forward_pre_hook(lambda module, inputs: torch.zeros(2) @ torch.zeros(3))
    deployment.set_shadow(shadow_model)

    async def ask() -> list[int]:
        replies = [await application.ask("POST", "/predict", json.dumps(runs.row(row)).encode()) for row in range(3)]
        async with asyncio.timeout(30):
            while deployment.agreement is not None and deployment.agreement.rows < 3:
                await asyncio.sleep(0.01)
        return [reply.status for reply in replies]

    assert run_apart(ask()) == [200] * 3
    shadow = deployment.comparison()["shadow"]
    assert (shadow["rows"], shadow["failed_rows"], shadow["agreement"]) == (3, 3, 0.0)
    assert "size" in shadow["failure"]


def test_the_page_asks_each_model_at_its_own_path(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)
    state = application.state
    other = ServedModel("other", runs.trained, max_rows=1)
    other.fields = (*other.fields, RowField("genres", {"anyOf": [{"type": ["string", "null"]}, {"type": "array"}]}))
    state.deployments["other"] = Deployment(other, application.settings.batches, state.metrics)
    page = run_apart(application.ask("GET", "/docs")).body.decode()
    assert page.count("http://localhost/predict") == page.count("http://localhost/models/other/predict") == 2
    assert page.count("http://localhost/example") == page.count("http://localhost/models/other/example") == 2
    assert "\u2026" not in page
    assert "string or null or array" in page


def test_openapi_has_the_rows_of_each_model_at_its_own_paths(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)
    state = application.state
    other = ServedModel("other", runs.trained, max_rows=1)
    other.fields = (RowField("genres", {"type": "string"}),)
    other.__dict__["example"] = {"genres": "drama"}
    state.deployments["other"] = Deployment(other, application.settings.batches, state.metrics)
    paths = run_apart(application.ask("GET", "/openapi.json")).value["paths"]

    def example(path: str) -> list[str]:
        body = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert list(body["schema"]["anyOf"][0]["properties"]) == list(body["example"])
        return list(body["example"])

    assert example("/predict") == example("/models/model/predict") == ["image"]
    assert example("/models/other/predict") == ["genres"]
    assert paths["/v2/models/other/infer"]["post"]["x-tensors"]["inputs"] == ["genres"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(names)) == len(names)
    assert not [path for path in paths if "{name}" in path]


def test_a_run_with_other_classes_cannot_take_over(runs: Runs) -> None:
    model = ServedModel("digits", runs.trained, max_rows=1)
    other = ServedModel("digits", runs.trained, max_rows=1)
    other.parts = tuple(replace(part, labels=part.labels[:-1]) for part in other.parts)
    check_replaceable(model, ServedModel("digits", runs.trained, max_rows=1))
    with pytest.raises(RequestError, match=r"answers other values .*: 'probabilities' is \('0', .* instead"):
        check_replaceable(model, other)


def test_a_run_with_its_columns_in_another_order_can_take_over(runs: Runs) -> None:
    model, other = (ServedModel("digits", runs.trained, max_rows=1) for _ in range(2))
    model.fields = (RowField("a"), RowField("b"))
    other.fields = (RowField("b"), RowField("a"))
    check_replaceable(model, other)
    other.fields = (RowField("b"), RowField("c", shape=(2,)))
    with pytest.raises(RequestError, match=r"reads other values than 'digits', .*: without 'a'; with 'c'\. "):
        check_replaceable(model, other)


def test_an_explanation_that_fails_on_the_server_is_not_the_fault_of_the_request(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained)  # with another home, where the files of the run are missing
    reply = application.post("/explain", json.dumps({"row": runs.row(0), "method": "saliency"}).encode())
    assert reply.status == 503, reply.value
    assert "log has the reason" in reply.value["error"]
    assert runs.first in (tmp_path / "errors.jsonl").read_text()
