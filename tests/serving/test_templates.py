"""Every template can be served: its answers are those of the app, and fit the declared schemas."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from pydantic_core import from_json, to_json

from netloom.data import schema
from netloom.monitoring.log_reader import read_log
from netloom.monitoring.request_log import LogSettings, RequestLog
from netloom.runs import fit_here, predict
from netloom.serving.schemas import answer_schema, row_schema
from netloom.serving.server_settings import BatchSettings, ServerSettings
from netloom.templates.catalogue import templates
from tests.networks import with_rows
from tests.serving.asgi import Application, run_apart

ROWS = 5


# Templates with every task, label, and kind of field; the others run with -m long. No data is read to choose them, as
# every worker collects all tests.
COVERING = """
digits_mlp digits_autoencoder digits_gan shapes_unet shapes_detector same_digits_contrastive scenes_labels
shapes_two_outputs shapes_simclr intents_lstm tales requests_tagger commands_joint dates_gru breast_cancer_binary
diabetes ratings_ncf ratings_bpr sine pulses_anomaly molecules_gcn cartpole_dqn cartpole_reinforce cartpole_ppo
""".split()
PARAMETERS = [pytest.param(name, marks=() if name in COVERING else pytest.mark.long) for name in templates()]


def features_of(names: Iterable[str]) -> set[object]:
    """The tasks, labels, numbers of fields and kinds of fields of templates."""
    features: set[object] = set()
    for name in names:
        project = templates()[name].project
        data = schema(project.data)
        assert data is not None
        fields = [(field.kind, len(field.shape), bool(field.columns)) for field in data.inputs]
        features |= {project.training.objective, ("label", data.target.kind), len(fields), *fields}
    return features


def test_some_templates_cover_all() -> None:
    assert features_of(COVERING) == features_of(templates())


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_template_is_served(name: str, tmp_path: Path) -> None:
    project = with_rows(templates()[name].project, 400)
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu", "teacher": None})
    trained = fit_here(project.model_copy(update={"training": training}), tmp_path)
    application = Application(tmp_path, trained, ServerSettings(batches=BatchSettings(max_rows=8), cache_bytes=0))
    model = application.model
    application.state.request_logs[model.name] = RequestLog(tmp_path, model.name, LogSettings())
    numbers = trained.data.split["test"][:ROWS].tolist()
    names = [field.name for field in model.fields]
    raw = [trained.data.row(number) for number in numbers]
    rows = [
        from_json(to_json({key: _plain(row[key]) for key in names if key in row}, inf_nan_mode="null")) for row in raw
    ]

    expected = [from_json(to_json(predict(trained, [row])[0])) for row in rows]
    for row, answer in zip(rows, expected, strict=True):
        jsonschema.validate(row, row_schema(model))
        jsonschema.validate(answer, answer_schema(model))
        reply = application.post("/predict", json.dumps(row).encode())
        assert (reply.status, reply.value) == (200, answer)
    together = application.post("/predict", json.dumps(rows).encode()).value
    _assert_close(together, expected)
    _assert_logged(application, rows, numbers)

    tensors = [_tensor(field, rows) for field in model.fields if all(field.name in row for row in rows)]
    reply = application.post("/v2/models/model/infer", json.dumps({"inputs": tensors}).encode())
    assert reply.status == 200, reply.value
    outputs = {output["name"]: output for output in reply.value["outputs"]}
    assert set(outputs) == {part.name for part in model.parts}
    for part in model.parts:
        output = outputs[part.name]
        assert output["shape"] == [len(rows), *part.shape]
        assert len(output["data"]) == len(rows) * prod(part.shape)
        if part.is_number and not part.labels:
            _assert_close(output["data"], [answer[part.name] for answer in expected])

    paths = run_apart(application.ask("GET", "/openapi.json")).value["paths"]
    assert paths["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert run_apart(application.ask("GET", "/docs")).status == 200


def _assert_logged(application: Application, rows: list[Any], numbers: list[int]) -> None:
    """Compare the request log with the rows, and report their true labels."""
    model = application.model
    logged = read_log(application.state.home, model.name, model.run_id, 100).rows
    assert [from_json(to_json(row.input)) for row in logged] == rows * 2
    if model.true_label is None:
        assert (
            application.post("/feedback", json.dumps({"request_id": logged[0].id, "label": 1}).encode()).status == 409
        )
        return
    labels = model.true_label.of_rows(model.trained.data, np.array(numbers))
    for row, label in zip(logged, labels, strict=False):
        body = json.dumps({"request_id": row.id, "label": label}).encode()
        assert application.post("/feedback", body).status == 200
        assert 0 <= model.true_label.error(row.prediction, label) < np.inf
        assert model.true_label.error(label, label) == 0


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _tensor(field: Any, rows: list[Any]) -> dict[str, Any]:
    values = [row[field.name] for row in rows]
    if field.shape:
        array = np.array(values, dtype=np.float64)
        array = array.reshape(len(rows), *(array.shape[1:] if -1 in field.shape else field.shape))
        return {"name": field.name, "shape": list(array.shape), "datatype": "FP64", "data": array.ravel().tolist()}
    if field.datatype == "BYTES":
        values = [value if value is None or isinstance(value, str) else _text(value) for value in values]
    return {"name": field.name, "shape": [len(rows)], "datatype": field.datatype, "data": values}


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _assert_close(answer: Any, expected: Any) -> None:
    """Compare answers of a batch with those of single rows, where the last bits of numbers may differ."""
    if isinstance(expected, dict):
        assert answer.keys() == expected.keys()
        for key, value in expected.items():
            _assert_close(answer[key], value)
    elif isinstance(expected, list):
        assert len(answer) == len(expected)
        for one, other in zip(answer, expected, strict=True):
            _assert_close(one, other)
    elif isinstance(expected, float):
        assert answer == pytest.approx(expected, rel=1e-3, abs=1e-4)
    else:
        assert answer == expected
