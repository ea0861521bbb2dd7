"""The backends of the server: PyTorch, ONNX Runtime, and the choice between them by measurement."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.compression import registry
from netloom.compression.opened_variant import (
    NOT_CALIBRATED,
    OTHER_CALIBRATION,
    REMOVED_CALIBRATION,
    open_explainable_variant,
    open_variant,
    open_variant_with_note,
)
from netloom.core.errors import UsageError
from netloom.document import DataChoice, Training
from netloom.explain import explain
from netloom.export.archive import as_json
from netloom.runs import TrainedRun, fit_here, load_run, predict
from netloom.runs.prediction.applied_calibration import (
    AppliedCalibration,
    OutOfDistribution,
    PartCalibration,
    Scaling,
    run_weights_checksum,
    save,
)
from netloom.serving.errors import RequestError
from netloom.serving.models.backend import BACKENDS, MAX_DIFFERENCE, TITLES, backend, fastest, from_file
from netloom.serving.models.served_model import ServedModel
from netloom.serving.server_settings import DEFAULT_BACKEND, BatchSettings, ServerSettings
from netloom.serving.server_state import load_model
from netloom.store import open_store
from netloom.templates.catalogue import templates
from tests.networks import IMAGE, chain
from tests.serving.conftest import Runs, start_server

pytestmark = pytest.mark.usefixtures("operators")
BATCHES = BatchSettings(max_rows=8)


class Different(torch.nn.Module):
    """A network that computes other outputs while it is exported."""

    def __init__(self, network: torch.nn.Module, difference: float) -> None:
        super().__init__()
        self.network, self.difference = network, difference

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(image)
        return logits + self.difference if torch.compiler.is_exporting() else logits


class Unwritable(torch.nn.Module):
    """A network that depends on its values, which ONNX cannot express."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(image)
        return logits if float(logits.sum()) < 1e30 else -logits


def test_onnx_runtime_gives_the_answers_of_the_app_up_to_rounding(runs: Runs) -> None:
    computed_by = backend(runs.trained, "onnxruntime", BATCHES)
    model = ServedModel("digits", runs.trained, max_rows=8, backend=computed_by)
    rows = [runs.row(number) for number in range(30)]
    for outcome, expected in zip(model.predict(rows), predict(runs.trained, rows), strict=True):
        assert not isinstance(outcome, RequestError)
        assert outcome["prediction"] == expected["prediction"]
        assert outcome["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
    assert 0 <= computed_by.difference <= MAX_DIFFERENCE
    # A name of its own, so that neither caches nor comparisons mix both
    plain = ServedModel("digits", runs.trained, max_rows=8).version
    assert model.version == f"{plain}-onnxruntime"


def test_the_faster_backend_is_chosen_by_measurement(runs: Runs) -> None:
    chosen = fastest(runs.trained, BATCHES)
    assert chosen.speedup is not None
    assert set(chosen.speedup) == {"row", "batch"}
    gain, least = (chosen.speedup["row"] * chosen.speedup["batch"]) ** 0.5, min(chosen.speedup.values())
    assert (chosen.name == "onnxruntime") == (gain >= 1.1 and least >= 0.9), chosen
    assert f"{chosen.speedup['row']:.2g} times as fast for a row" in chosen.note


@pytest.mark.parametrize(("difference", "is_allowed"), [(2e-5, False), (0.0, True)])
def test_outputs_that_differ_are_computed_by_pytorch(runs: Runs, difference: float, is_allowed: bool) -> None:
    scale = float(runs.trained.output_of("test").abs().max())
    other = replace(runs.trained, model=Different(runs.trained.model, difference * scale))
    chosen = fastest(other, BATCHES)
    assert (chosen.speedup is not None) == is_allowed  # what differs is not timed
    if not is_allowed:
        assert chosen.name == "pytorch"
        assert "differ from those of PyTorch by" in chosen.note
    backend(other, "onnxruntime", BATCHES)  # as exact as an exported file


def test_onnx_runtime_is_refused_where_outputs_differ_more_than_those_of_a_file(runs: Runs) -> None:
    other = replace(runs.trained, model=Different(runs.trained.model, 1.0))
    with pytest.raises(UsageError, match=r"differ from those of PyTorch by .* serve this run with PyTorch"):
        backend(other, "onnxruntime", BATCHES)


def test_a_network_that_onnx_cannot_express_is_computed_by_pytorch(runs: Runs) -> None:
    chosen = fastest(replace(runs.trained, model=Unwritable(runs.trained.model)), BATCHES)
    assert chosen.name == "pytorch"
    assert chosen.note.startswith("PyTorch: ONNX Runtime cannot serve this run: ")


def test_a_missing_onnx_runtime_is_named(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    chosen = fastest(runs.trained, BATCHES)
    assert chosen.name == "pytorch"
    assert "pip install" in chosen.note
    with pytest.raises(UsageError, match="pip install"):
        backend(runs.trained, "onnxruntime", BATCHES)


def test_exact_answers_need_pytorch(runs: Runs) -> None:
    exact = replace(BATCHES, is_exact=True)
    assert fastest(runs.trained, exact).name == "pytorch"
    with pytest.raises(UsageError, match="--exact"):
        backend(runs.trained, "onnxruntime", exact)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A network that ends in a softmax, with a calibration that depends on the constant of its logits."""
    layers: tuple[tuple[str, dict[str, Any]], ...] = (("Flatten", {}), ("Linear", {"units": 10}), ("Softmax", {}))
    training = Training(epochs=1, device="cpu")
    run = fit_here(
        chain(IMAGE, *layers, data=DataChoice(dataset="digits"), training=training), tmp_path_factory.mktemp("c")
    )
    scaling = Scaling("vector", tuple(0.5 + 0.1 * number for number in range(10)), (0.0,) * 10)
    part = PartCalibration("softmax", "row", 1, scaling, out_of_distribution=OutOfDistribution("energy", 0.0))
    return replace(run, applied=AppliedCalibration(1, "weights", {"": part}))


def test_calibrated_answers_are_those_of_the_app(calibrated: TrainedRun, tmp_path: Path) -> None:
    model = ServedModel("digits", calibrated, max_rows=8, backend=backend(calibrated, "onnxruntime", BATCHES))
    rows = [{"image": calibrated.data.row(number)["image"].tolist()} for number in range(8)]
    for outcome, expected in zip(model.predict(rows), predict(calibrated, rows), strict=True):
        assert not isinstance(outcome, RequestError)
        assert outcome["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
        assert outcome["familiarity"] == pytest.approx(expected["familiarity"], abs=1e-4)
    small = variant(calibrated, tmp_path / "small.onnx")
    with pytest.raises(UsageError, match="ends in probabilities"):
        from_file(calibrated, small)
    assert from_file(replace(calibrated, applied=None), small).difference < 0.1


def test_each_backend_has_a_title_and_the_default_is_first() -> None:
    assert list(BACKENDS) == list(TITLES)
    assert next(iter(BACKENDS)) == DEFAULT_BACKEND


def variant(trained: TrainedRun, file: Path) -> Path:
    file.write_bytes(registry()["dynamic_int8"].compress(trained).content)
    return file


def test_a_file_of_another_network_is_refused(runs: Runs, tmp_path: Path) -> None:
    small = variant(runs.trained, tmp_path / "small.onnx")
    image, *others = runs.trained.data.preprocess.fields
    preprocess = replace(runs.trained.data.preprocess, fields=(replace(image, name="picture"), *others))
    other = replace(runs.trained, data=replace(runs.trained.data, preprocess=preprocess))
    with pytest.raises(UsageError, match=r"'small.onnx' does not read the rows of this run"):
        from_file(other, small)
    wide = replace(runs.trained, model=torch.nn.Sequential(runs.trained.model, torch.nn.Linear(10, 7)))
    with pytest.raises(UsageError, match=r"outputs of the file 'small.onnx' have other shapes"):
        from_file(wide, small)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(as_json({"not": "a network"}))
    with pytest.raises(UsageError, match="ONNX Runtime cannot load this network"):
        from_file(runs.trained, damaged)
    with pytest.raises(UsageError, match=r"cannot be read: No such file"):
        from_file(runs.trained, tmp_path / "missing.onnx")


def test_a_variant_is_not_calibrated_unless_its_outputs_are_those_of_the_run(runs: Runs, tmp_path: Path) -> None:
    """The threshold of an abstention or the width of an interval was measured on the outputs of the run."""
    small, equal = variant(runs.trained, tmp_path / "small.onnx"), tmp_path / "equal.onnx"
    equal.write_bytes(registry()["onnx"].compress(runs.trained).content)
    with closing(open_store(runs.home)) as store:
        artifacts = store.artifacts(runs.first)
        part = PartCalibration("softmax", "row", 1, Scaling("temperature", (0.5,), (0.0,)))
        save(artifacts, AppliedCalibration(1, run_weights_checksum(artifacts), {"": part}))
        try:
            calibrated = load_run(store, runs.first)
            served = [load_model(runs.home, ServerSettings(), "digits", runs.first, file) for file in (small, equal)]
        finally:
            artifacts.delete_calibration()
    for file, model, is_calibrated in zip((small, equal), served, (False, True), strict=True):
        opened = open_variant(calibrated, file), open_explainable_variant(calibrated, file), model.trained
        assert [trained.applied is not None for trained in opened] == [is_calibrated] * 3
        assert (NOT_CALIBRATED in model.backend.note) != is_calibrated


def test_another_calibration_in_a_file_is_not_used_and_named(runs: Runs, tmp_path: Path) -> None:
    part = PartCalibration("softmax", "row", 1, Scaling("temperature", (0.5,), (0.0,)))
    plain = replace(runs.trained, applied=None)
    calibrated = replace(plain, applied=AppliedCalibration(1, "", {"": part}))
    files = {}
    for name, trained in (("plain", plain), ("calibrated", calibrated)):
        files[name] = tmp_path / f"{name}.onnx"
        files[name].write_bytes(registry()["onnx"].compress(trained).content)
    for trained, name, expected in (
        (plain, "plain", ""),
        (calibrated, "calibrated", ""),
        (calibrated, "plain", OTHER_CALIBRATION),
        (plain, "calibrated", REMOVED_CALIBRATION),
    ):
        opened, note = open_variant_with_note(trained, files[name])
        assert (opened.applied, note) == (trained.applied, expected)
        served = from_file(trained, files[name]).note
        assert served == f"An ONNX file is served instead of the weights of the run. {expected}".rstrip()


def test_explanations_are_those_of_the_served_file(runs: Runs, tmp_path: Path) -> None:
    small, packed = variant(runs.trained, tmp_path / "small.onnx"), tmp_path / "packed.onnx"
    packed.write_bytes(registry()["weight_only_int4"].compress(runs.trained).content)
    for file, method in ((small, "feature_ablation"), (packed, "saliency")):
        server = start_server(runs.home, runs.first, "--model", file)
        try:
            content = file.read_bytes()
            file.write_bytes(registry()["pruning"].compress(runs.trained).content)
            changed = server.post("/explain", {"row": runs.row(0), "method": method})
            assert (changed.status, f"{file.name!r} has changed" in changed.value["error"]) == (409, True)
            file.write_bytes(content)
            answer = server.post("/explain", {"row": runs.row(0), "method": method})
            assert answer.status == 200, answer.value
            expected = explain(open_explainable_variant(runs.trained, file), method, runs.row(0))
            original = explain(runs.trained, method, runs.row(0))
            explained = np.array(answer.value["attributions"]["image"])
            assert np.allclose(explained, expected.attributions["image"], atol=1e-6)
            assert not np.allclose(explained, original.attributions["image"], atol=1e-6)
            if file is small:  # without gradients
                refused = server.post("/explain", {"row": runs.row(0), "method": "saliency"})
                assert (refused.status, "does not fit" in refused.value["error"]) == (400, True)
        finally:
            server.stop()


def test_a_variant_is_served_until_another_run_is_loaded(runs: Runs, tmp_path: Path) -> None:
    small = variant(runs.trained, tmp_path / "small.onnx")
    server = start_server(runs.home, runs.first, "--model", small, "--shadow", runs.first)
    try:
        (models,) = server.get("/models").value
        current = models["current"]
        assert current["backend"]["file"] == "small.onnx"
        assert current["backend"]["difference"] > 1e-4  # 8 bits
        assert models["shadow"]["backend"]["name"] == "pytorch"
        path = f"/v2/models/{models['name']}"
        platforms = [
            server.get(f"{path}{part}").value["platform"] for part in ("", f"/versions/{models['shadow']['version']}")
        ]
        assert platforms == ["onnxruntime_onnx", "pytorch_netloom"]
        row = runs.row(0)
        expected = ServedModel("digits", runs.trained, backend=from_file(runs.trained, small)).predict([row])
        assert [server.post("/predict", row).value] == expected
        # The file is read again
        assert server.post("/reload").value["current"]["version"] == current["version"]
        reloaded = server.post("/reload", {"run": runs.first}).value
        assert reloaded["current"]["backend"] == {
            "name": "pytorch", "difference": 0.0, "speedup": None, "file": None, "note": "",
        }  # fmt: skip
        assert reloaded["current"]["version"] == models["shadow"]["version"]
    finally:
        server.stop()


@pytest.mark.long
@pytest.mark.parametrize("name", templates())
def test_onnx_runtime_computes_a_template_or_says_why_not(name: str, tmp_path: Path) -> None:
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": 0, "device": "cpu", "teacher": None})
    trained = fit_here(project.model_copy(update={"training": training}), tmp_path)
    chosen = fastest(trained, BATCHES)
    assert chosen.difference <= MAX_DIFFERENCE
    assert chosen.speedup is not None or chosen.note
