"""What the server answers, asked over the network, beside what the app answers."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import netloom
from netloom.runs.prediction.applied_calibration import AppliedCalibration, PartCalibration, Scaling
from netloom.serving import docs_page
from netloom.serving.models.served_model import ServedModel
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Runs, Server

ROOT = Path(__file__).parents[2]
INFER = "/v2/models/digits/infer"


def test_a_row_gets_the_bits_of_the_app(server: Server, runs: Runs) -> None:
    for number in range(20):
        reply = server.post("/predict", runs.row(number))
        assert (reply.status, reply.value) == (200, runs.answer(number))


def test_several_rows_agree_within_the_stated_bound(server: Server, runs: Runs) -> None:
    rows = [runs.row(number) for number in range(50)]
    answers = server.post("/predict", rows).value
    bound = server.started["models"][0]["current"]["batch_difference"]
    assert 0 <= bound <= 1e-5
    expected = netloom.predict(runs.trained, rows)
    assert [answer["prediction"] for answer in answers] == [answer["prediction"] for answer in expected]
    for answer, other in zip(answers, expected, strict=True):
        # A difference d of the logits changes a probability p by at most 2·d·p·(1 - p)
        assert answer["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_clients_at_the_same_time_get_their_own_answers(server: Server, runs: Runs) -> None:
    with ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(lambda number: server.post("/predict", runs.row(number)).value, range(100)))
    for number, reply in enumerate(replies):
        assert reply["probabilities"] == pytest.approx(runs.answer(number)["probabilities"], abs=1e-5)


def test_a_csv_file_is_read_as_by_the_app(server: Server, runs: Runs) -> None:
    cells = [json.dumps(runs.row(number)["image"]) for number in (3, 4)]
    body = "image\n" + "".join(f'"{cell}"\n' for cell in cells)
    reply = server.post("/predict", body.encode(), content_type="text/csv")
    assert [answer["prediction"] for answer in reply.value] == [runs.answer(number)["prediction"] for number in (3, 4)]


def test_an_image_file_is_decoded_and_resized(server: Server) -> None:
    file = BytesIO()
    Image.new("L", (30, 30), 255).save(file, "PNG")
    reply = server.post("/predict", file.getvalue(), content_type="image/png")
    assert reply.status == 200
    assert reply.value == server.post("/predict", {"image": [[[16.0] * 8] * 8]}).value


def test_the_curl_line_works(server: Server) -> None:
    line = server.started["curl"]
    assert f"curl {server.address}/predict" in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == {"prediction", "probabilities"}


def test_the_lines_of_a_long_example_work(server: Server, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs_page, "MAX_EXAMPLE", 10)
    model = ServedModel("digits", runs.trained, max_rows=1)
    expected = netloom.predict(runs.trained, [model.example])[0]
    assert server.get("/models/digits/example").value == model.example
    for url in (server.address, f"{server.address}/models/digits"):
        line = docs_page.curl_line(model, url, needs_key=False)
        assert json.loads(subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout) == expected
        assert python_output(docs_page.python_lines(url, needs_key=False)) == expected


def test_the_lines_of_the_readme_work(server: Server) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").replace("localhost:8800", f"localhost:{server.port}")
    (line,) = re.findall(r"^curl .*/predict .*$", text, re.M)
    (lines,) = re.findall(r"^```python\n(import requests\n.*?)^```", text, re.M | re.S)
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert set(json.loads(done.stdout)) == {"prediction", "probabilities"}
    assert python_output(lines) == json.loads(done.stdout)


def python_output(lines: str) -> Any:
    """What lines of Python print, as a value."""
    with redirect_stdout(StringIO()) as out:
        exec(lines, {})
    return ast.literal_eval(out.getvalue())


def test_open_inference_metadata(server: Server) -> None:
    assert server.get("/v2").value["name"] == "netloom"
    assert server.get("/v2/health/live").status == server.get("/v2/health/ready").status == 200
    model = server.get("/v2/models/digits").value
    assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    assert {"name": "probabilities", "datatype": "FP64", "shape": [-1, 10]} in model["outputs"]
    version = model["versions"][0]
    assert server.get(f"/v2/models/digits/versions/{version}/ready").value["ready"] is True
    assert server.get("/v2/models/digits/versions/1").status == 404


def test_open_inference_tensors_as_json(server: Server, runs: Runs) -> None:
    flat = np.array([runs.row(7)["image"]]).ravel().tolist()
    tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": flat}
    reply = server.post(INFER, {"id": "a", "inputs": [tensor]}).value
    by_name = {output["name"]: output for output in reply["outputs"]}
    expected = runs.answer(7)
    assert reply["id"] == "a"
    assert by_name["prediction"]["data"] == [expected["prediction"]]
    assert by_name["probabilities"]["data"] == list(expected["probabilities"].values())
    assert by_name["probabilities"]["parameters"]["labels"] == list(expected["probabilities"])
    nested = {**tensor, "data": [runs.row(7)["image"]]}
    assert server.post(INFER, {"inputs": [nested], "outputs": [{"name": "prediction"}]}).value["outputs"] == [
        by_name["prediction"]
    ]


def test_open_inference_tensors_as_bytes(server: Server, runs: Runs) -> None:
    pixels = np.array([runs.row(8)["image"]], dtype="<f4").tobytes()
    head = {
        "inputs": [
            {
                "name": "image",
                "shape": [1, 1, 8, 8],
                "datatype": "FP32",
                "parameters": {"binary_data_size": len(pixels)},
            }
        ],
        "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in ("prediction", "probabilities")],
    }
    text = json.dumps(head).encode()
    reply = server.post(INFER, text + pixels, inference_header_content_length=str(len(text)))
    start = int(reply.headers["inference-header-content-length"])
    data, expected = reply.body[start:], runs.answer(8)
    (length,) = struct.unpack_from("<I", data)
    assert data[4 : 4 + length].decode() == expected["prediction"]
    assert np.frombuffer(data[4 + length :], "<f8").tolist() == list(expected["probabilities"].values())


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton(server: Server, runs: Runs, binary: bool) -> None:
    from tritonclient import http

    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    tensor = http.InferInput("image", [2, 1, 8, 8], "FP32")
    tensor.set_data_from_numpy(np.array([runs.row(n)["image"] for n in (1, 2)], np.float32), binary_data=binary)
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probabilities")]
    result = client.infer("digits", [tensor], outputs=outputs)
    predictions = [value.decode() if isinstance(value, bytes) else value for value in result.as_numpy("prediction")]
    assert predictions == [runs.answer(n)["prediction"] for n in (1, 2)]
    expected = np.array([list(runs.answer(n)["probabilities"].values()) for n in (1, 2)])
    assert np.abs(result.as_numpy("probabilities") - expected).max() <= 1e-5


@pytest.mark.parametrize(
    "shape",
    [
        lambda rows: {"dataframe_split": {"columns": ["image"], "data": [[row["image"]] for row in rows]}},
        lambda rows: {"dataframe_records": rows},
        lambda rows: {"instances": rows},
        lambda rows: {"instances": [row["image"] for row in rows]},
        lambda rows: {"inputs": {"image": [row["image"] for row in rows]}},
    ],
    ids=["dataframe_split", "dataframe_records", "instances", "unnamed instances", "inputs"],
)
def test_the_formats_of_mlflow(server: Server, runs: Runs, shape: Any) -> None:
    reply = server.post("/invocations", shape([runs.row(5)]))
    assert reply.value == {"predictions": [runs.answer(5)]}


def test_an_explanation_equals_that_of_the_command(server: Server, runs: Runs) -> None:
    reply = server.post("/explain", {"row": runs.row(9), "method": "saliency"})
    assert reply.status == 200, reply.body
    expected = netloom.explain_prediction(runs.trained, runs.row(9), "saliency")
    assert np.array_equal(np.array(reply.value["attributions"]["image"]), expected.attributions["image"])
    refused = server.post("/explain", {"row": runs.row(9), "method": "astrology"})
    assert refused.status == 400
    assert "saliency" in refused.value["error"]
    for count in (0, 2):  # a table instead of a row
        table = {"columns": ["image"], "data": [[runs.row(9)["image"]]] * count}
        refused = server.post("/explain", {"row": table})
        assert refused.status == 400
        assert f"must hold one row, received {count}" in refused.value["error"]


def test_an_explanation_has_the_calibrated_prediction_of_its_model(runs: Runs) -> None:
    import jsonschema  # type: ignore[import-untyped]

    part = PartCalibration("softmax", "row", 1, Scaling("temperature", (0.5,)))
    calibrated = replace(runs.trained, applied=AppliedCalibration(1, "weights", {"": part}))
    for trained, is_calibrated in ((runs.trained, False), (calibrated, True)):
        application = Application(runs.home, trained)
        body = json.dumps({"row": runs.row(9), "method": "saliency"}).encode()
        reply = application.post("/explain", body)
        assert reply.status == 200, reply.value
        assert ("calibrated" in reply.value) == is_calibrated
        predicted = application.post("/predict", json.dumps(runs.row(9)).encode()).value
        assert reply.value.get("calibrated", predicted) == predicted
        operation = run_apart(application.ask("GET", "/openapi.json")).value["paths"]["/explain"]["post"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(reply.value, schema)
        assert ("calibrated" in schema["properties"]) == is_calibrated
        example = operation["requestBody"]["content"]["application/json"]["example"]
        again = application.post("/explain", json.dumps(example).encode())
        assert again.status == 200, again.value
    without = {key: value for key, value in reply.value.items() if key != "calibrated"}
    with pytest.raises(jsonschema.ValidationError, match="'calibrated' is a required property"):
        jsonschema.validate(without, schema)


def test_openapi_has_the_fields_of_the_model(server: Server, runs: Runs) -> None:
    import jsonschema

    document = server.get("/openapi.json").value
    assert document["openapi"] == "3.1.0"
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    jsonschema.validate(content["example"], content["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"image": [1]}, content["schema"])
    answer = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(runs.answer(0), answer)
    bodies = {path for path, methods in document["paths"].items() if "requestBody" in methods.get("post", {})}
    assert bodies == {path for path, methods in document["paths"].items() if "post" in methods} - {
        "/rollback",
        "/models/digits/rollback",
    }
    assert list(document["paths"]["/docs"]["get"]["responses"]["200"]["content"]) == ["text/html"]
    assert {"/invocations", "/explain", "/v2/models/digits/infer", "/metrics"} <= set(document["paths"])


def test_docs_need_no_script(server: Server) -> None:
    reply = server.get("/docs")
    text = reply.body.decode()
    assert "curl" in text
    assert "<script" not in text
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_metrics_count_requests(server: Server, runs: Runs) -> None:
    def count() -> float:
        lines = server.get("/metrics").body.decode().splitlines()
        name = 'netloom_requests_total{route="predict",status="200"}'
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)

    before = count()
    server.post("/predict", runs.row(0))
    assert count() == before + 1


def test_equal_requests_are_answered_from_the_cache(server: Server, runs: Runs) -> None:
    first, second = (server.post("/predict", runs.row(77)) for _ in range(2))
    assert first.body == second.body
    assert [line["cached"] for line in server.log if line["id"] == second.headers["x-request-id"]] == [True]
