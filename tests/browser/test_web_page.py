"""The exported web page in a real Chromium: its inputs, encodings and predictions beside those of the app."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from netloom import export
from netloom.calibration.calibrate import calibrate
from netloom.calibration.scaling import calibrators
from netloom.calibration.settings import CalibrationSettings
from netloom.data.boxes import objects_text
from netloom.data.preparation.decode import decode
from netloom.document import DataChoice
from netloom.export.browser_runtime import FILES, VERSION
from netloom.export.formats.web_page import COLUMNS, DECODINGS, ENCODINGS
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.modalities.encoding.image_field import sized
from netloom.modalities.encoding.tokenization import byte_letters
from netloom.nn.probability import logits
from netloom.runs import predict
from netloom.templates import templates
from tests.explain.models import trained, untrained_run

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("operators")]
NAMES = ("image", "table", "regression", "recurrent", "series", "characters")
TEXTS = ["Hello, hello world!", "", "it's  don’t\tΣΑΣ İ漢字 🙂 a_b 3½", " \n ", "x" * 80, "\x85é\u3000z"]
TOKENS = {"name": "text", "length": 12}
FIELDS: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "image": [
        ({"name": "x", "encoding": "image", "shape": [1, 4, 3], "scale": 0.0625, "mean": 0.3, "std": 0.4},
         [np.arange(12.0).reshape(1, 4, 3), np.arange(12.0).reshape(4, 3), np.full((4, 3, 1), 1e38)]),
        ({"name": "x", "encoding": "image", "shape": [1, 8, 8], "scale": 1 / 255, "mean": 0.3, "std": 0.4,
          "resized": True},
         [np.random.default_rng(0).integers(0, 256, shape) for shape in ((3, 20, 13), (5, 6, 3), (1, 8, 8))]),
        *(({"name": "x", "encoding": "image", "shape": list(shape), "scale": 1 / 255, "mean": 0.3, "std": 0.4,
            "resized": True, "file_side": 24, "file_shape": list(shape)},
           [*(np.random.default_rng(0).integers(0, 256, size) for size in ((3, 41, 23), (5, 6, 3), (90, 70, 1))),
            np.full((3, 9, 9), 0.5)])
          for shape in ((1, 12, 12), (3, 12, 12))),
    ],
    "words": [
        ({**TOKENS, "encoding": "words", "vocabulary": ["", "�", "hello", ",", "it's", "don't", "漢字", "3½"]}, TEXTS),
    ],
    "series": [
        ({"name": "x", "encoding": "series", "shape": [3, 2], "mean": 0.5, "std": 2.0},
         [[[1, -2], [3.5, 4], [1e38, 0]]]),
        ({"name": "x", "encoding": "series", "shape": [3, 1], "mean": 0.5, "std": 2.0}, [[1, 2, 3]]),
    ],
    "characters": [({**TOKENS, "encoding": "characters", "vocabulary": ["", "�", *"helo w"]}, TEXTS)],
    "letters": [({**TOKENS, "encoding": "letters", "lower": True, "vocabulary": ["", "�", *"helo🙂漢σς"]}, TEXTS)],
    "bpe": [
        ({**TOKENS, "encoding": "bpe", "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["Ġ", "w"]],
          "vocabulary": ["", "�", *byte_letters(), "he", "ll", "hell", "Ġw"]}, TEXTS),
    ],
}  # fmt: skip
TABLE: dict[str, Any] = {
    "name": "features",
    "encoding": "table",
    "columns": [
        {"name": "a", "type": "number", "median": 2.0, "mean": 1.5, "std": 3.0, "indicator": True},
        {"name": "b", "type": "number", "median": 2.0, "mean": 0.5, "std": 0.5, "log": True},
        {"name": "c", "type": "category", "values": ["red", "grün"], "aliases": {"green": "grün", "g": "green"}},
        {"name": "d", "type": "category", "values": ["1", "2.5"], "numeric": True, "fill": "1"},
    ],
}
ROWS: list[dict[str, Any]] = [
    {"a": 1, "b": -7.5, "c": "g", "d": 2.5},
    {"a": None, "b": "n/a", "c": "blue", "d": None},
    {"a": " 4 ", "b": 1e300, "c": "red", "d": "1.0"},
    {"a": "true", "b": 0, "c": None, "d": 7},
]
TARGETS: dict[str, dict[str, Any]] = {
    "class": {"classes": ["a", "b", "c"]},
    "binary": {"classes": ["no", "yes"], "threshold": 0.4},
    "labels": {"classes": ["a", "b", "c"], "thresholds": [0.2, 0.5, 0.7]},
    "number": {"mean": [3.0, 1.0, 0.0], "std": [2.0, 0.5, 1.0]},
}


WORDS = {"t": np.array([[4, 5, 6, 0], [7, 0, 0, 0]])}
TAGS, CLASSES = ["O", "B-place", "I-place"], ["a", "b"]
RANDOM = torch.Generator().manual_seed(0)


def logits_of(*shape: int) -> torch.Tensor:
    return torch.randn((2, *shape), generator=RANDOM)


def target_of(kind: str, **state: Any) -> dict[str, Any]:
    return {"fields": [{"name": "t", "vocabulary": ["", "x", "y"]}], "target": {"kind": kind, "name": kind, **state}}


FORECAST = {"series": ["u", "v"], "mean": [1.0, 2.0, 3.0, 4.0], "std": [1.0, 0.5, 2.0, 3.0]}
PARTS: list[dict[str, Any]] = [
    {"kind": "class", "name": "c", "classes": CLASSES},
    {"kind": "number", "name": "n", "mean": [3.0], "std": [2.0]},
]
# Predictions that depend on the shape of outputs, on several of them, or on the input
SHAPED: list[tuple[dict[str, Any], tuple[torch.Tensor, ...], dict[str, np.ndarray]]] = [
    (target_of("mask", classes=TAGS), (logits_of(3, 4, 2),), {}),
    (target_of("boxes", classes=TAGS, threshold=0.1), (3 * logits_of(7, 5, 4),), {}),
    (target_of("boxes", classes=TAGS, threshold=0.05), (20 + logits_of(7, 20, 20),), {}),  # too many
    (target_of("boxes", classes=TAGS, threshold=0.9), (logits_of(7, 5, 4),), {}),  # none
    (target_of("tags", classes=TAGS), (logits_of(4, 3),), WORDS),
    (target_of("class_and_tags", classes=CLASSES, tags=TAGS), (logits_of(2), logits_of(4, 3)), WORDS),
    (target_of("action", classes=CLASSES, values=True), (logits_of(2),), {}),
    (target_of("action", classes=CLASSES, values=False), (logits_of(2),), {}),
    (target_of("embedding"), (logits_of(5),), {}),
    (target_of("pair", classes=CLASSES, threshold=2.0), (logits_of(3), logits_of(3)), {}),
    (target_of("several", parts=PARTS), (logits_of(2), logits_of(1)), {}),
    (target_of("number", **FORECAST), (logits_of(4),), {}),
    (target_of("number", **{**FORECAST, "mean": [1.0, 2.0], "std": [1.0, 0.5]}), (logits_of(2),), {}),
]


class Handler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(operators: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A static server with ONNX Runtime and exported pages, installed as their README says: its address and folder."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm, with which people install ONNX Runtime for browsers, is missing")
    folder = tmp_path_factory.mktemp("site")
    for name in NAMES:
        path = export.export(trained(name), "web", folder / f"{name}.zip").path
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / name)
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder / NAMES[0], check=True, capture_output=True, timeout=300)
    for name in NAMES[1:]:
        (folder / name / "node_modules").symlink_to(folder / NAMES[0] / "node_modules")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.fixture
def tab(browser: Browser, site: tuple[str, Path]) -> Iterator[Page]:
    """A tab that fails a test with an error in its console, or a request to another host."""
    context = browser.new_context(viewport={"width": 1024, "height": 900})
    page, errors = context.new_page(), list[str]()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(site[0]) else errors.append(request.url))
    yield page
    context.close()
    assert not [text for text in errors if not text.startswith(("data:", "blob:"))]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def test_predictions_in_the_browser_are_those_of_the_app(tab: Page, site: tuple[str, Path]) -> None:
    address, _ = site
    for name in NAMES:
        run = trained(name)
        tab.goto(f"{address}/{name}/index.html")
        tab.wait_for_selector(".prediction")
        rows = [plain(run.data.row(int(row))) for row in run.data.split["test"][:10]]
        script = (
            "async (rows) => { const all = []; for (const row of rows) all.push(await model.predict(row)); return all }"
        )
        for predicted, expected in zip(tab.evaluate(script, rows), predict(run, rows), strict=True):
            answer = predicted["answer"]
            if "probabilities" in expected:
                assert answer["prediction"] == expected["prediction"]
                assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
            else:
                assert answer["prediction"] == pytest.approx(expected["prediction"], rel=1e-4)
        shown = tab.locator(".prediction").inner_text()
        first = predict(run, [rows[0]])[0]["prediction"]
        if isinstance(first, str):
            assert shown == (first if first.strip() else json.dumps(first))
        else:
            assert float(shown.split(", ")[0]) == pytest.approx(np.ravel(first)[0], rel=1e-4)


def test_inputs_change_the_prediction_and_are_accessible(tab: Page, site: tuple[str, Path]) -> None:
    address, folder = site
    tab.goto(f"{address}/recurrent/index.html")
    tab.get_by_label("text").fill("how much money is on my account")
    expected = predict(trained("recurrent"), [{"text": "how much money is on my account"}])[0]
    expect(tab.locator(".prediction")).to_have_text(expected["prediction"])

    tab.goto(f"{address}/table/index.html")
    row = json.loads((folder / "table" / "example.json").read_text())
    cell = tab.get_by_label("worst area")
    cell.fill("2500")
    share = max(predict(trained("table"), [{**row, "worst area": 2500}])[0]["probabilities"].values())
    expect(tab.locator("#result label").first).to_contain_text(f"{share:.1%}")
    cell.fill("")  # missing
    share = max(predict(trained("table"), [{**row, "worst area": None}])[0]["probabilities"].values())
    expect(tab.locator("#result label").first).to_contain_text(f"{share:.1%}")

    tab.goto(f"{address}/image/index.html")
    tab.wait_for_selector(".prediction")
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    tab.get_by_label("image (image file)").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    field = field_encoder(trained("image").data.preprocess.fields[0])
    channels, height, width = field.shape
    image = sized(pixels.astype(np.float32) / 255 / field.state.scale, channels, height, width)
    expected = predict(trained("image"), [{"image": image.tolist()}])[0]
    expect(tab.locator("#result label").first).to_contain_text(f"{max(expected['probabilities'].values()):.1%}")
    for width in (1024, 390):
        tab.set_viewport_size({"width": width, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("image", "table", "recurrent"):
        tab.goto(f"{address}/{name}/index.html")
        tab.wait_for_selector(".prediction")
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            violations = Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
            assert not [item["help"] for item in violations]


def test_a_page_without_its_runtime_says_what_to_do(browser: Browser, site: tuple[str, Path]) -> None:
    address, folder = site
    shutil.copytree(folder / "table", folder / "bare", ignore=shutil.ignore_patterns("node_modules"))
    page = browser.new_page()
    page.goto(f"{address}/bare/index.html")
    expect(page.get_by_role("status")).to_have_text(
        "ONNX Runtime is missing: run npm install in this folder, and reload the page."
    )
    page.close()
    assert json.loads((folder / "bare" / "package.json").read_text())["dependencies"] == {"onnxruntime-web": VERSION}


def test_a_page_with_its_runtime_needs_a_static_server_alone(tab: Page, site: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = site
    run = trained("table")
    report = export.export(run, "web", tmp_path / "page.zip", runtime_home=tmp_path / "home")
    with zipfile.ZipFile(report.path) as archive:
        archive.extractall(folder / "included")
    assert {path.name for path in (folder / "included" / "runtime").iterdir()} == set(FILES)
    assert not (folder / "included" / "package.json").exists()
    loaded = list[str]()
    tab.on("request", lambda request: loaded.append(request.url))
    tab.goto(f"{address}/included/index.html")
    tab.wait_for_selector(".prediction")
    assert {url.rpartition("/")[2] for url in loaded if "/runtime/" in url} == set(FILES)
    assert not [url for url in loaded if "node_modules" in url]
    rows = [plain(run.data.row(int(row))) for row in run.data.split["test"][:10]]
    answers = tab.evaluate("(rows) => Promise.all(rows.map(async (row) => (await model.predict(row)).answer))", rows)
    for answer, expected in zip(answers, predict(run, rows), strict=True):
        assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
    # The data folder keeps the files, so that the next export needs neither npm nor a network.
    kept = tmp_path / "home" / "onnxruntime-web" / VERSION
    assert {path.name for path in kept.iterdir()} == set(FILES)
    assert export.export(run, "web", tmp_path / "again.zip", runtime_home=tmp_path / "home").path.read_bytes() == (
        report.path.read_bytes()
    )


def test_rows_are_encoded_as_in_python(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/table/index.html")
    raw: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (field, {"x" if field["encoding"] in ("image", "series") else "text": value})
        for fields in FIELDS.values()
        for field, values in fields
        for value in values
    ]
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (field, plain(row)) for field, row in [*raw, *((TABLE, row) for row in ROWS)]
    ]
    assert {field["encoding"] for field, _ in cases} == set(ENCODINGS)
    assert {column["type"] for column in TABLE["columns"]} == set(COLUMNS)
    script = """async (cases) => {
        const { encode } = await import("./encode.js");
        return cases.map(([field, row]) => {
            const { data, dims } = encode(field, row);
            return [Array.from(data, Number), dims];
        });
    }"""
    for (field, row), (data, dims) in zip(cases, tab.evaluate(script, cases), strict=True):
        expected = field_encoder(field).encode([row])
        assert dims == list(expected.shape)
        assert np.allclose(np.array(data).reshape(dims), expected, rtol=1e-5, atol=1e-5), (field["name"], row)


def test_outputs_are_decoded_as_in_python(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/table/index.html")
    assert set(TARGETS) | {preprocess["target"]["kind"] for preprocess, _, _ in SHAPED} | {
        "next_token"  # of the page of characters
    } == set(DECODINGS)
    values = torch.tensor([[-1.5, 0.3, 2.0], [30.0, -40.0, 0.0]])
    cases = []
    for kind, target in TARGETS.items():
        family = "softmax" if kind == "class" else "sigmoid"
        scales: list[Any] = (
            [None] if kind == "number" else [None, ("probabilities", family), ("log_probabilities", family)]
        )
        for scale in scales:
            output = values[:, :1] if kind == "binary" else values
            if scale:
                output = output.softmax(1) if family == "softmax" else output.sigmoid()
                output = output.log() if scale[0] == "log_probabilities" else output
            preprocess = {"target": {"kind": kind, **target}, **({"scales": [scale]} if scale else {})}
            expected = decode(preprocess, logits(output, *scale) if scale else output, {})
            cases += [(preprocess, row, answer) for row, answer in zip(output.tolist(), expected, strict=True)]
    script = """async (cases) => {
        const { decode } = await import("./decode.js");
        return cases.map(([preprocess, output]) => decode(preprocess, output));
    }"""
    for (preprocess, _, expected_answer), answer in zip(
        cases, tab.evaluate(script, [case[:2] for case in cases]), strict=True
    ):
        assert answer.keys() == expected_answer.keys(), preprocess
        for key, value in expected_answer.items():
            is_text = isinstance(value, str) or (isinstance(value, list) and isinstance((value or [""])[0], str))
            assert answer[key] == (value if is_text else pytest.approx(value, abs=1e-5)), (preprocess, key)


def same(answer: Any, wanted: Any, error: float = 1e-5) -> bool:
    """Return whether two answers are equal, with numbers up to the rounding of float32."""
    if isinstance(wanted, dict):
        return answer.keys() == wanted.keys() and all(same(answer[key], wanted[key], error) for key in wanted)
    if isinstance(wanted, list):
        return len(answer) == len(wanted) and all(map(same, answer, wanted, [error] * len(wanted)))
    return bool(answer == (pytest.approx(wanted, abs=error) if isinstance(wanted, float) else wanted))


DECODE = """async (cases) => {
    const { decode } = await import("./decode.js");
    return cases.map(([preprocess, [first, ...others], arrays]) => decode(preprocess, first, others,
        Object.fromEntries(Object.entries(arrays).map(([name, tokens]) => [name, tokens.map(BigInt)]))));
}"""


def flat(outputs: tuple[torch.Tensor, ...], row: int) -> list[dict[str, Any]]:
    """The outputs of one row as ONNX Runtime gives them."""
    return [{"data": part[row].flatten().tolist(), "dims": [1, *part.shape[1:]]} for part in outputs]


def test_outputs_with_a_shape_are_decoded_as_in_python(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/table/index.html")
    cases, wanted = list[Any](), list[Any]()
    for preprocess, outputs, arrays in SHAPED:
        wanted += decode(preprocess, outputs if len(outputs) > 1 else outputs[0], arrays)
        for row in range(2):
            cases.append(
                [preprocess, flat(outputs, row), {name: array[row].tolist() for name, array in arrays.items()}]
            )
    for case, answer, expected in zip(cases, tab.evaluate(DECODE, cases), wanted, strict=True):
        assert same(answer, expected), (case[0]["target"], answer, expected)


def scaling_of(method: str, classes: int) -> dict[str, Any]:
    """A calibration map as a calibrator fits it."""
    if method == "temperature":
        return {"method": method, "scale": [0.7], "shift": [0.0], "curves": []}
    if method == "platt":
        scale, shift = [[1.4, 0.6, 0.9, 1.1][:classes], [0.3, -0.2, 0.1, 0.0][:classes]]
        return {"method": method, "scale": scale, "shift": shift, "curves": []}
    x = [0.0, 0.2, 0.200001, 0.5, 0.9]
    curves = [{"x": x, "y": [0.01 * (number + 1), 0.1, 0.3, 0.45, 0.98]} for number in range(classes)]
    return {"method": method, "scale": [1.0], "shift": [0.0], "curves": curves}


def calibration_of(family: str, unit: str, axis: int, **parts: Any) -> dict[str, Any]:
    return {"family": family, "unit": unit, "axis": axis, **parts}


def calibrated_cases() -> list[tuple[dict[str, Any], tuple[torch.Tensor, ...], dict[str, np.ndarray]]]:
    """Every method with every kind of prediction that is calibrated, and with all that it can decide."""
    low = {"threshold": 0.7, "target": "risk", "value": 0.1}
    unlike = [{"kind": kind, "threshold": threshold} for kind, threshold in (("softmax", 0.6), ("energy", 1.9))]
    sets = [{"kind": kind, "alpha": 0.1, "threshold": limit} for kind, limit in (("lac", 0.2), ("aps", 0.9))]
    names, cases = ["a", "b", "c", "d"], list[Any]()
    for method in (*calibrators(), None):
        for strange, conformal in zip(unlike, sets, strict=True):

            def with_calibration(
                kind: str,
                calibration: tuple[str, str, int],
                count: int,
                more: dict[str, Any],
                *,
                method: str | None = method,
                strange: dict[str, Any] = strange,
                **state: Any,
            ) -> dict[str, Any]:
                scaling = {"scaling": scaling_of(method, count)} if method else {}
                chosen = {**scaling, "abstention": low, "out_of_distribution": strange, **more}
                return target_of(kind, **state, calibration=calibration_of(*calibration, **chosen))

            row, in_sets = ("softmax", "row", 1), {"conformal": conformal}
            binary, limits = ("sigmoid", "row", 1), [0.2, 0.5, 0.7, 0.5]
            cases += [
                (with_calibration("class", row, 4, in_sets, classes=names), (logits_of(4),), {}),
                (with_calibration("binary", binary, 1, in_sets, classes=CLASSES, threshold=0.4), (logits_of(1),), {}),
                (with_calibration("labels", ("sigmoid", "label", 1), 4, {}, classes=names, thresholds=limits),
                 (logits_of(4),), {}),
                (with_calibration("mask", ("softmax", "pixel", 1), 3, {}, classes=TAGS), (logits_of(3, 4, 2),), {}),
                (with_calibration("tags", ("softmax", "word", 2), 3, {}, classes=TAGS), (logits_of(4, 3),), WORDS),
                (with_calibration("class_and_tags", row, 2, in_sets, classes=CLASSES, tags=TAGS),
                 (logits_of(2), logits_of(4, 3)), WORDS),
            ]  # fmt: skip
        of_objects = {"scaling": scaling_of(method, 1)} if method else {}
        calibration = calibration_of("sigmoid", "object", 2, **of_objects)
        boxes = target_of("boxes", classes=TAGS, threshold=0.1, calibration=calibration)
        cases.append((boxes, (3 * logits_of(7, 5, 4),), {}))
    parts = [
        {
            **PARTS[0],
            "calibration": calibration_of("softmax", "row", 1, scaling=scaling_of("isotonic", 2), abstention=low),
        },
        {**PARTS[1], "calibration": number_calibration(1)},
    ]
    return [
        *cases,
        (target_of("several", parts=parts), (logits_of(2), logits_of(1)), {}),
        (target_of("number", **FORECAST, calibration=number_calibration(4)), (logits_of(4),), {}),
        (target_of("number", mean=[3.0], std=[2.0], calibration=number_calibration(1)), (logits_of(1),), {}),
    ]


def number_calibration(count: int) -> dict[str, Any]:
    below, above = [0.5 + number for number in range(count)], [1.5 + number for number in range(count)]
    interval = {"kind": "signed", "alpha": 0.1, "below": below, "above": above}
    return calibration_of("numbers", "row", 1, interval=interval)


def test_calibrated_outputs_are_decoded_as_in_python(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/table/index.html")
    cases, wanted = list[Any](), list[Any]()
    for preprocess, outputs, arrays in calibrated_cases():
        wanted += decode(preprocess, outputs if len(outputs) > 1 else outputs[0], arrays)
        for row in range(2):
            cases.append(
                [preprocess, flat(outputs, row), {name: array[row].tolist() for name, array in arrays.items()}]
            )
    for case, answer, expected in zip(cases, tab.evaluate(DECODE, cases), wanted, strict=True):
        assert same(answer, expected, 1e-6), (case[0]["target"], answer, expected)
    answers = [answer for answer in wanted if "abstained" in answer]
    assert {answer["abstained"] for answer in answers} == {True, False}
    assert {len(answer["prediction_set"]) for answer in answers if "prediction_set" in answer} >= {1, 2, 3}
    assert [answer for answer in answers if "confidence" in answer.get("reason", "")]
    assert [answer for answer in answers if "familiarity" in answer.get("reason", "")]


def test_numbers_in_reasons_are_written_as_in_python(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/table/index.html")
    scores = [-12345.678, -1234.6, -0.00001234, 1e-9, 0.00012345, 0.5, 3.0, 99999.9, 123456789.0, -7.0]
    strange = [
        calibration_of("softmax", "row", 1, out_of_distribution={"kind": "energy", "threshold": value})
        for value in scores
    ]
    preprocess = [target_of("class", classes=CLASSES, calibration=calibration) for calibration in strange]
    output = torch.full((1, 2), -2e5)
    cases = [[item, flat((output,), 0), {}] for item in preprocess]
    wanted = [decode(item, output, {})[0]["reason"] for item in preprocess]
    assert [answer["reason"] for answer in tab.evaluate(DECODE, cases)] == wanted


def test_a_calibrated_run_is_the_same_in_the_browser(tab: Page, site: tuple[str, Path], tmp_path: Path) -> None:
    """The whole way: logits of ONNX Runtime, a fitted calibration, and the page that shows what it adds."""
    address, folder = site
    plain_run = trained("table")
    for method in calibrators():
        page = folder / f"calibrated_{method}"  # a browser may reuse files of one address that changed within a second
        page.mkdir()
        (page / "node_modules").symlink_to(folder / NAMES[0] / "node_modules")
        settings = CalibrationSettings(method, abstain_coverage=0.8, conformal=0.1, ood_score="energy")
        run = replace(plain_run, applied=calibrate(plain_run, settings).applied)
        path = export.export(run, "web", tmp_path / f"{method}.zip").path
        with zipfile.ZipFile(path) as archive:
            archive.extractall(page)
        tab.goto(f"{address}/{page.name}/index.html")
        tab.wait_for_selector(".prediction")
        rows = [plain(run.data.row(int(row))) for row in run.data.split["test"][:20]]
        script = "(rows) => Promise.all(rows.map(async (row) => (await model.predict(row)).answer))"
        expected = predict(run, rows)
        for answer, wanted in zip(tab.evaluate(script, rows), expected, strict=True):
            assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-4)
            assert answer["confidence"] == pytest.approx(wanted["confidence"], abs=1e-4)
            assert answer["familiarity"] == pytest.approx(wanted["familiarity"], abs=1e-3)
            assert [answer[key] for key in ("prediction_set", "abstained")] == [
                wanted[key] for key in ("prediction_set", "abstained")
            ]
        notes = tab.locator(".note").all_inner_texts()
        assert f"Prediction set: {', '.join(expected[0]['prediction_set'])}" in notes
        assert f"Confidence: {expected[0]['confidence']:.1%}" in notes
        assert [note for note in notes if note.startswith("Abstained: ")] == (
            [f"Abstained: {expected[0]['reason']}"] if expected[0]["abstained"] else []
        )


def test_objects_in_the_browser_are_those_of_the_app(tab: Page, site: tuple[str, Path], tmp_path: Path) -> None:
    """They are drawn on the image and listed, or the page says from which score they would be."""
    address, folder = site
    project = templates()["shapes_detector"].project
    run = untrained_run(project.model_copy(update={"data": DataChoice(dataset="shape_boxes", options={"rows": 60})}))
    with torch.no_grad():  # scores that differ from cell to cell by more than rounding
        weight, bias = [*run.model.parameters()][-2:]
        weight[:4] *= 4_000.0
        bias[:4] -= 3.0
    path = export.export(run, "web", tmp_path / "detector.zip").path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "detector")
    (folder / "detector" / "node_modules").symlink_to(folder / NAMES[0] / "node_modules")
    tab.goto(f"{address}/detector/index.html")
    tab.wait_for_selector(".prediction")
    rows = [plain(run.data.row(int(row))) for row in run.data.split["test"]]
    script = "(rows) => Promise.all(rows.map(async (row) => (await model.predict(row)).answer))"
    expected = predict(run, rows)
    assert any(answer["prediction"] for answer in expected)
    for answer, wanted in zip(tab.evaluate(script, rows), expected, strict=True):
        assert same(answer, wanted, 1e-4)
    first = expected[0]["prediction"]
    counts = objects_text(item["class"] for item in first)
    assert tab.locator(".prediction").inner_text() == counts
    expect(
        tab.get_by_role("img", name=f"Predicted objects: {first[0]['class']} {first[0]['score']:.0%}")
    ).to_be_visible()
    cells = tab.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[:2] == [first[0]["class"], f"{first[0]['score']:.0%}"]
    assert [float(cell) for cell in cells[2:]] == pytest.approx([48 * side for side in first[0]["box"]], abs=0.06)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        assert not Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
    tab.set_viewport_size({"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.evaluate("model.preprocess.target.threshold = 1")
    tab.get_by_role("button", name="Clear").click()
    expect(tab.locator(".note")).to_have_text(
        "No object has a score above 100.0%, the threshold that was chosen on the validation rows."
    )
    assert tab.locator(".prediction").inner_text() == "No object"


def test_transparent_parts_of_an_image_file_are_white(tab: Page, site: tuple[str, Path], tmp_path: Path) -> None:
    """As in training."""
    _, height, width = field_encoder(trained("image").data.preprocess.fields[0]).shape
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    pixels[0, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tab.goto(f"{site[0]}/image/index.html")
    tab.locator("input[type=file]").set_input_files(tmp_path / "a.png")
    script = (
        "() => Array.from(document.querySelector('canvas.pixels').getContext('2d')"
        f".getImageData(0, 0, {width}, {height}).data).filter((_, place) => place % 4 === 0)"
    )
    tab.wait_for_function(f"({script})().slice({width}).every((tone) => tone === 255)", timeout=5_000)
    assert tab.evaluate(script)[:width] == [0] * width


def test_an_image_is_drawn_on(tab: Page, site: tuple[str, Path]) -> None:
    tab.goto(f"{site[0]}/image/index.html")
    canvas = tab.get_by_role("img", name="Image for image")
    tab.get_by_role("button", name="Clear").click()
    box = canvas.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.1 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"], steps=20)
    tab.mouse.up()
    field = field_encoder(trained("image").data.preprocess.fields[0])
    channels, height, width = field.shape
    tones = tab.evaluate(
        "() => Array.from(document.querySelector('canvas.pixels').getContext('2d')"
        f".getImageData(0, 0, {width}, {height}).data).filter((_, place) => place % 4 === 0)"
    )
    pixels = np.array(tones, np.float32).reshape(height, width)
    assert set(pixels.flatten().tolist()) == {0.0, 255.0}
    assert (pixels.max(1) == 255).sum() >= 0.8 * height  # a vertical line
    drawn = np.repeat(pixels[None] / 255 / field.state.scale, channels, axis=0)
    shares = predict(trained("image"), [{"image": drawn.tolist()}])[0]["probabilities"]
    expect(tab.locator("#result label").first).to_contain_text(f"{max(shares.values()):.1%}")
