"""Variants in place of their run: predictions of the file, and explanations of the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from netloom.compression import registry
from netloom.compression.opened_variant import MAX_DIFFERENCE, open_explainable_variant, open_variant
from netloom.explain import ExplainError, explain, methods
from netloom.explain.core.cache import weights_hash
from netloom.explain.influence import tracin
from netloom.export.onnx_network import OnnxNetwork
from netloom.runs import TrainedRun, predict
from netloom.runs.prediction.external_network import ExternalNetwork
from netloom.training.streaming import take
from tests.cli.conftest import Trained, called

pytestmark = pytest.mark.usefixtures("operators")
IN_PYTORCH = ("onnx", "weight_only_int8", "weight_only_int4", "structured_pruning", "low_rank", "pruning")
IN_ONNX_RUNTIME = ("dynamic_int8", "static_int8")


@pytest.fixture(scope="module")
def files(digits: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, files = tmp_path_factory.mktemp("variants"), {}
    for name in (*IN_PYTORCH, *IN_ONNX_RUNTIME):
        files[name] = folder / f"{name}.onnx"
        files[name].write_bytes(registry()[name].compress(digits).content)
    return files


def inputs_of(digits: TrainedRun) -> dict[str, torch.Tensor]:
    return take(digits.data, digits.fields, digits.data.split["test"][:50].numpy())


@pytest.mark.parametrize("name", [*IN_PYTORCH, *IN_ONNX_RUNTIME])
def test_predictions_are_those_of_the_file(name: str, digits: TrainedRun, files: dict[str, Path]) -> None:
    inputs = inputs_of(digits)
    batch, network = [inputs[field] for field in digits.fields], OnnxNetwork(files[name].read_bytes(), 1)
    # Dynamic quantization takes its scales from a batch, so the outputs of a row would depend on the rows beside it
    alone = [network.outputs([values[row : row + 1] for values in batch])[0] for row in range(len(batch[0]))]
    expected = torch.cat(alone)
    variant = open_variant(digits, files[name])
    assert torch.allclose(variant.output(inputs), expected, atol=1e-5)
    explained = open_explainable_variant(digits, files[name])
    assert isinstance(explained.model, ExternalNetwork) == (name in IN_ONNX_RUNTIME)
    assert explained.variant == variant.variant == f"{name}.onnx"
    assert float((explained.output(inputs) - expected).abs().max()) <= MAX_DIFFERENCE * float(expected.abs().max())
    hashes = {weights_hash(trained.model) for trained in (digits, variant, explained)}
    assert len(hashes) == (3 if name in IN_PYTORCH[1:] else 2)  # the cache of explanations tells them apart


def test_packed_weights_are_explained_by_gradients(digits: TrainedRun, files: dict[str, Path]) -> None:
    variant = open_explainable_variant(digits, files["weight_only_int4"])
    row = int(digits.data.split["test"][0])
    explained = explain(variant, "integrated_gradients", row)
    assert explained.proofs.completeness is not None
    assert (explained.proofs.completeness.relative_error or 0) < 0.01
    original = explain(digits, "integrated_gradients", row, target=explained.target.name)
    both = [np.concatenate([value.ravel() for value in item.attributions.values()]) for item in (explained, original)]
    assert 0.9 < np.corrcoef(both)[0, 1] < 1 - 1e-6


def test_a_file_without_gradients_is_explained_by_its_predictions(digits: TrainedRun, files: dict[str, Path]) -> None:
    variant = open_explainable_variant(digits, files["dynamic_int8"])
    listed = {method.name: method for method in methods(variant)}
    assert {name for name, method in listed.items() if method.available} >= {"occlusion", "kernel_shap", "lime"}
    for name in ("saliency", "layer_activation"):
        assert "without gradients and inner layers" in listed[name].reason
    row = int(digits.data.split["test"][0])
    explained = explain(variant, "feature_ablation", row)
    assert explained.prediction.text == predict(variant, [digits.data.row(row)])[0]["prediction"]
    with pytest.raises(ExplainError, match="use a perturbation or Shapley method"):
        explain(variant, "integrated_gradients", row)
    assert "checkpoints of training" in tracin.unavailable_reason(variant)


def test_commands_read_a_variant(trained: Trained, digits: TrainedRun, files: dict[str, Path], tmp_path: Path) -> None:
    row, rows = int(digits.data.split["test"][0]), tmp_path / "rows.json"
    rows.write_text(json.dumps({"image": digits.data.row(row)["image"].tolist()}))
    small, home = files["dynamic_int8"], ("--home", trained.home)
    [answer] = called(*home, "predict", trained.run, rows, "--model", small, "--json").value
    assert answer == predict(open_variant(digits, small), [digits.data.row(row)])[0]
    assert answer != predict(digits, [digits.data.row(row)])[0]
    explain_row = (*home, "explain", trained.run, "--example", row, "--model", small)
    assert called(*explain_row, "--json").value["method"] == "occlusion"  # the first that fits
    refused = called(*explain_row, "--method", "saliency")
    assert (refused.code, "without gradients and inner layers" in refused.err) == (1, True), refused.err
    refused = called(*explain_row, "--checkpoint", "last")
    assert (refused.code, "--checkpoint has no effect" in refused.err) == (2, True), refused.err
    refused = called(*home, "predict", trained.run, rows, "--model", tmp_path / "missing.onnx")
    assert (refused.code, "cannot be read: No such file" in refused.err) == (2, True), refused.err
