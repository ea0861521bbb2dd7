"""The version of a served model, and outputs that are not finite."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import torch

from netloom.runs.prediction.applied_calibration import (
    Abstention,
    AppliedCalibration,
    ConformalSet,
    OutOfDistribution,
    PartCalibration,
    Scaling,
)
from netloom.serving.errors import RequestError
from netloom.serving.models.served_model import ServedModel
from netloom.serving.schemas import answer_schema
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Runs


def test_the_version_names_the_calibration(runs: Runs) -> None:
    def version(*scales: float) -> str:
        parts = {"": PartCalibration("softmax", "row", 1, Scaling("temperature", scales))}
        calibration = AppliedCalibration(1, "weights", parts) if scales else None
        return ServedModel("digits", replace(runs.trained, applied=calibration), max_rows=1).version

    # Otherwise, the cache would answer with predictions from before a reload
    assert len({version(), version(0.5), version(0.6)}) == 3
    assert version(0.5) == version(0.5)


def test_the_schema_has_the_keys_of_the_calibration(runs: Runs) -> None:
    part = PartCalibration(
        "softmax",
        "row",
        1,
        Scaling("temperature", (0.5,)),
        Abstention(1.0, "coverage", 0.5),
        ConformalSet("lac", 0.1, 0.2),
        out_of_distribution=OutOfDistribution("softmax", 0.1),
    )
    calibration = AppliedCalibration(1, "weights", {"": part})
    model = ServedModel("digits", replace(runs.trained, applied=calibration), max_rows=1)
    schema, answer = answer_schema(model), model.predict([runs.row(0)])[0]
    assert isinstance(answer, dict)
    assert (
        {"confidence", "familiarity", "prediction_set", "abstained", "reason"}
        <= set(answer)
        <= set(schema["properties"])
    )
    jsonschema.validate(answer, schema)
    assert "confidence" not in answer_schema(ServedModel("digits", runs.trained, max_rows=1))["properties"]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_tensors_have_the_calibration(runs: Runs, tmp_path: Path, threshold: float) -> None:
    part = PartCalibration(
        "softmax",
        "row",
        1,
        abstention=Abstention(threshold, "coverage", 0.5),
        conformal=ConformalSet("lac", 0.1, 0.2),
        out_of_distribution=OutOfDistribution("softmax", 0.0),
    )
    application = Application(tmp_path, replace(runs.trained, applied=AppliedCalibration(1, "weights", {"": part})))
    answers = application.post("/predict", json.dumps([runs.row(0), runs.row(1)]).encode()).value
    inputs = [
        {"name": "image", "shape": [2, 1, 8, 8], "datatype": "FP32", "data": [runs.row(i)["image"] for i in (0, 1)]}
    ]
    reply = application.post("/v2/models/model/infer", json.dumps({"inputs": inputs}).encode()).value
    values = {output["name"]: output for output in reply["outputs"]}
    described = run_apart(application.ask("GET", "/v2/models/model")).value["outputs"]
    assert [(tensor["name"], tensor["datatype"]) for tensor in described] == [
        (name, values[name]["datatype"]) for name in values
    ]
    for name in ("confidence", "familiarity"):
        assert values[name]["data"] == pytest.approx([answer[name] for answer in answers])
    assert (values["abstained"]["datatype"], values["abstained"]["data"]) == ("BOOL", [bool(threshold)] * 2)
    assert [json.loads(text) for text in values["prediction_set"]["data"]] == [
        answer["prediction_set"] for answer in answers
    ]
    assert values["reason"]["data"] == [answer.get("reason", "") for answer in answers]
    requested = {"inputs": inputs, "outputs": [{"name": "abstained", "parameters": {"binary_data": True}}]}
    body = application.post("/v2/models/model/infer", json.dumps(requested).encode()).body
    assert body.endswith(bytes([bool(threshold)] * 2))


@pytest.fixture
def overflowing(runs: Runs, tmp_path: Path) -> Application:
    """A server whose network overflows for bright images."""
    model = deepcopy(runs.trained.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e12)
    return Application(tmp_path, replace(runs.trained, model=model))


@pytest.mark.parametrize("path", ["/predict", "/invocations"])
def test_a_prediction_that_overflows_is_refused(overflowing: Application, path: str) -> None:
    rows = [{"image": [[[value] * 8] * 8]} for value in (8.0, 1e30)]
    body = rows if path == "/predict" else {"instances": rows}
    reply = overflowing.post(path, json.dumps(body).encode())
    assert reply.status == 422
    assert reply.value["error"].startswith("Row 2: The prediction of the model 'model'")
    assert "finite" in reply.value["error"]


def test_a_row_that_overflows_leaves_the_others_of_its_batch(overflowing: Application) -> None:
    rows = [{"image": [[[value] * 8] * 8]} for value in (8.0, 1e30, 9.0)]
    outcomes = overflowing.model.predict(rows)
    assert [isinstance(outcome, RequestError) for outcome in outcomes] == [False, True, False]


def test_a_network_whose_batches_are_nan_computes_row_by_row(runs: Runs) -> None:
    class Unstable(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = runs.trained.model(image)
            return logits if len(image) == 1 else logits * torch.nan

    model = ServedModel("digits", replace(runs.trained, model=Unstable()))
    assert model.is_exact
    outcome = model.predict([runs.row(0), runs.row(1)])
    assert not any(isinstance(part, RequestError) for part in outcome)
