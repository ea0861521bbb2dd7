"""Compression: methods against closed forms, measurements against the app, and verdicts."""

from __future__ import annotations

import io
import re
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import nn

from netloom.compression import CompressionError, Measured, Report, Variant, measure, registry
from netloom.compression.methods.low_rank import ENERGY, factorize
from netloom.compression.methods.pruning import SPARSITY
from netloom.compression.verdicts import Comparison, loss_of, with_verdicts
from netloom.export.onnx_network import OnnxNetwork
from netloom.runs import TrainedRun, evaluate, fit_here
from netloom.tasks import task
from netloom.templates import templates
from netloom.training.evaluation import compute_metrics
from tests.cli.conftest import Console, Trained
from tests.explain.models import Layer
from tests.networks import chain, with_rows
from tests.training.test_output_scales import moons_project

# The largest difference of probabilities by 8-bit weights: sums saturate on processors without VNNI instructions
INT8 = 0.2

pytestmark = pytest.mark.usefixtures("operators")


@pytest.fixture(scope="module")
def measured(digits: TrainedRun) -> tuple[Report, dict[str, Variant]]:
    shares: list[float] = []
    report, variants = measure(digits, repeats=20, progress=shares.append)
    assert shares == sorted(shares)
    return report, {variant.method: variant for variant in variants}


def by_method(report: Report) -> dict[str, Measured]:
    return {item.method: item for item in report.measured}


def test_original_has_the_metric_of_the_evaluation(
    digits: TrainedRun, measured: tuple[Report, dict[str, Variant]]
) -> None:
    report, _ = measured
    assert report.metric == "accuracy"
    assert report.measured[0].score == pytest.approx(evaluate(digits).metrics["accuracy"])
    assert (report.measured[0].agreement, report.measured[0].difference) == (1.0, 0.0)
    assert report.rows == len(digits.data.split["test"])


def test_each_method_gives_a_variant_that_predicts_like_the_original(
    measured: tuple[Report, dict[str, Variant]],
) -> None:
    report, variants = measured
    rows = by_method(report)
    possible = {name for name, method in registry().items() if not method.needs_training}
    assert set(rows) - {"original"} == set(variants) == possible - {name for name, _ in report.failures}
    assert rows["onnx"].difference < 1e-5
    assert rows["onnx"].agreement == 1.0
    for name in ("dynamic_int8", "static_int8"):
        assert 0 < rows[name].difference < 0.1
        assert (rows[name].agreement or 0) > 0.97
        assert rows[name].size < 0.6 * rows["original"].size


# Decisions for parts of a row, and for each output. The others differ only in `decisions` of their tasks, which the
# next test compares.
@pytest.mark.parametrize(
    ("name", "layers", "unit"),
    [
        ("requests_tagger", (("Embedding", {"dim": 8, "vocabulary": 163}), ("Linear", {"units": 9})), "words"),
        pytest.param("shapes_unet", (("Conv2d", {"filters": 5}),), "pixels", marks=pytest.mark.long),
        ("shapes_two_outputs", (), "outputs"),
        ("commands_joint", (), "outputs"),
        pytest.param(
            *("scenes_labels", (("GlobalAvgPool", {}), ("Linear", {"units": 4})), "rows"), marks=pytest.mark.long
        ),
    ],
)
def test_agreement_is_that_of_the_decisions_of_the_task(name: str, layers: tuple[Layer, ...], unit: str) -> None:
    """With these layers in place of those of a template, if there are any."""
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": 0})
    if layers:
        inputs = project.main_network.nodes["input_1"]
        small = chain((inputs.type, inputs.params), *layers, data=project.data, training=training)
    else:
        small = project.model_copy(update={"training": training})
    trained = fit_here(small)
    report, _ = measure(trained, ["onnx"], repeats=2)
    assert report.agreement_unit == unit
    assert [item.agreement for item in report.measured] == pytest.approx([1.0, 1.0], abs=0.01)
    assert f"share of {unit} " in report.agreement_note


def test_decisions_that_differ_lower_the_agreement() -> None:
    circle = {"shape": "circle", "size": "big", "area": 2.0}
    for name, before, after, share in (
        ("tagging", ["O", "B-a", "O", "O"], ["O", "O", "O", "O"], 3 / 4),
        ("segmentation", [[0, 1], [1, 1]], [[0, 1], [0, 0]], 1 / 2),
        ("several_outputs", circle, {**circle, "size": "small", "area": 1.0}, 1 / 2),
        ("multi_label", ["a", "b"], ["b", "a"], 1.0),
        ("classification", "a", "b", 0.0),
    ):
        first, second = (task(name).decisions({"prediction": prediction}) for prediction in (before, after))
        assert np.mean([one == other for one, other in zip(first, second, strict=True)]) == share
    assert task("regression").decisions({"prediction": 1.5}) == []
    joint = task("class_and_tags").decisions
    first, second = (joint({"prediction": "a", "tags": tags}) for tags in (["O", "B-a"], ["O", "O"]))
    assert [one == other for one, other in zip(first, second, strict=True)] == [True, False]


def test_quantized_weights_are_8_bit_and_keep_the_preprocessing(measured: tuple[Report, dict[str, Variant]]) -> None:
    for name in ("dynamic_int8", "static_int8"):
        model = onnx.load_from_string(measured[1][name].content)
        types = {item.data_type for item in model.graph.initializer if len(item.dims) == 2}
        assert onnx.TensorProto.INT8 in types
        assert onnx.TensorProto.FLOAT not in types
        assert "preprocess" in {item.key for item in model.metadata_props}


def test_pruning_of_normalized_weights_leaves_numbers() -> None:
    """Weight normalization divides by the norm of each row, which can be pruned to zero."""
    project = templates()["sine_tcn"].project
    block = (("TCNBlock", {"filters": 16}), ("Select", {"axis": 1, "index": -1}), ("Linear", {"units": 1}))
    training = project.training.model_copy(update={"epochs": 0})
    reads = project.main_network.nodes["input_1"]
    trained = fit_here(chain((reads.type, reads.params), *block, data=project.data, training=training))
    inputs = torch.ones(2, *trained.data.schema.inputs[0].shape)
    (output,) = OnnxNetwork(registry()["pruning"].compress(trained).content).outputs([inputs])
    assert output.isfinite().all()
    assert not torch.equal(output[0], torch.zeros_like(output[0]))
    assert trained.model(inputs).isfinite().all()  # the original still computes its weights


def test_convolutions_before_an_lstm_are_static_and_the_rest_dynamic_in_one_file(digits: TrainedRun) -> None:
    layers: list[Layer] = [
        *[("Conv2d", {"filters": 32, "padding": 1}), ("ReLU", {})] * 2,
        ("Reshape", {"shape": [16, 128]}),
        ("LSTM", {"hidden_size": 32}),
        ("Max", {}),
        ("Linear", {"units": 10}),
    ]
    network = chain(("Input", {"field": "image", "kind": "image", "shape": [1, 8, 8]}), *layers)
    training = digits.project.training.model_copy(update={"epochs": 0})
    run = fit_here(network.model_copy(update={"data": digits.project.data, "training": training}))
    report, variants = measure(run, ["dynamic_int8", "static_int8", "mixed_int8"], repeats=2)
    dynamic = onnx.load_from_string(variants[0].content)
    assert "DynamicQuantizeLSTM" in {node.op_type for node in dynamic.graph.node}
    assert variants[0].size < 0.6 * report.measured[0].size
    assert by_method(report)["dynamic_int8"].difference < INT8
    nodes = onnx.load_from_string(variants[2].content).graph.node
    made_by = {output: node for node in nodes for output in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:  # the input, the weights and the bias are integers
        assert {made_by[name].op_type for name in node.input} == {"DequantizeLinear"}
    kinds = [node.op_type for node in nodes]
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= set(kinds)
    assert not {"LSTM", "Gemm", "MatMul"} & set(kinds)
    mixed = by_method(report)["mixed_int8"]
    assert mixed.size < 0.8 * min(variants[0].size, variants[1].size)
    assert mixed.difference < INT8


def test_mixed_quantization_needs_both_kinds_of_layers(measured: tuple[Report, dict[str, Variant]]) -> None:
    assert dict(measured[0].failures)["mixed_int8"] == (
        "This network does not have convolutions beside linear layers, embeddings or LSTMs."
    )


def test_measured_outputs_are_those_of_the_written_file(
    console: Console, trained: Trained, digits: TrainedRun, tmp_path: Path
) -> None:
    answer = console("optimize", "last", "--home", trained.home, "--method", "onnx", "--to", tmp_path / "v", "--json")
    assert answer.code == 0, answer.err
    session = onnxruntime.InferenceSession(str(tmp_path / "v" / "onnx.onnx"))
    rows = digits.data.split["test"]
    inputs = {session.get_inputs()[0].name: digits.data.inputs["image"][rows].numpy()}
    accuracy = (session.run(None, inputs)[0].argmax(1) == digits.data.target[rows].numpy()).mean()
    assert by_method_json(answer.value)["onnx"]["score"] == pytest.approx(accuracy)


def by_method_json(report: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {str(item["method"]): item for item in report["measured"]}


def test_factorized_layer_is_the_best_approximation_of_its_rank() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(30, 3) @ torch.randn(3, 40) + 0.01 * torch.randn(30, 40))
    model = nn.Sequential(layer, nn.ReLU())
    exact, values = layer.weight.detach().double(), torch.linalg.svdvals(layer.weight.detach().double())
    assert factorize(model, model) == 1
    first, second = model.get_submodule("0.0"), model.get_submodule("0.1")
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    rank = first.out_features
    energies = values.square().cumsum(0) / values.square().sum()
    assert energies[rank - 1] >= ENERGY
    assert rank == 1 or energies[rank - 2] < ENERGY
    # Eckart–Young: no matrix of this rank is nearer.
    with torch.no_grad():
        error = (exact - second.weight.double() @ first.weight.double()).norm()
    assert float(error) == pytest.approx(float(values[rank:].square().sum().sqrt()), rel=1e-4)


def test_tied_and_small_layers_are_not_factorized() -> None:
    embedding, head = nn.Embedding(50, 20), nn.Linear(20, 50, bias=False)
    head.weight = embedding.weight
    model = nn.Sequential(embedding, head, nn.Linear(4, 4))
    assert factorize(model, model) == 0


def test_pruned_weights_are_the_smallest(digits: TrainedRun, measured: tuple[Report, dict[str, Variant]]) -> None:
    model = onnx.load_from_string(measured[1]["pruning"].content)
    for item in model.graph.initializer:
        if len(item.dims) == 2:
            values = onnx.numpy_helper.to_array(item)
            assert np.mean(values == 0) == pytest.approx(SPARSITY, abs=0.01)
    assert measured[1]["pruning"].size < 0.6 * len(measured[1]["pruning"].content)
    assert measured[1]["pruning"].saves_size_only
    assert by_method(measured[0])["pruning"].saves_size_only


@pytest.mark.parametrize(
    ("size", "verdict", "words"),
    [(300, "size only", "smaller when compressed, not faster"), (900, "no gain", "no gain")],
)
def test_zeros_in_weights_are_not_credited_with_the_speed_of_the_file(
    digits: TrainedRun, size: int, verdict: str, words: str
) -> None:
    """ONNX Runtime makes any file faster, and only the size of a pruned one is that of a compressed file."""
    rows = torch.as_tensor(digits.data.split["test"][:90])
    target = torch.nn.functional.one_hot(digits.data.target[rows], 10).float()
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 1.0, 1.0, 0.0, "original", "")
    pruned = replace(base, method="pruning", size=size, p50_ms=0.2, saves_size_only=True)
    file = replace(base, method="onnx", size=1_100, p50_ms=0.3)
    judged = with_verdicts([base, pruned, file], Comparison(digits, "accuracy", (target,) * 3, rows))
    assert [item.verdict for item in judged] == ["original", verdict, "recommended"]
    report = Report("accuracy", "Accuracy", True, 90, 1, tuple(judged))
    assert report.verdict_of(judged[1]) == words
    assert judged[1] not in report.pareto


def test_verdicts_follow_from_the_figures() -> None:
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 0.9, 1.0, 0.0, "original", "")
    items = (
        base,
        replace(base, method="best", p50_ms=0.5, size=300, verdict="recommended"),
        replace(base, method="dominated", p50_ms=0.6, size=400),
        replace(base, method="accurate", p50_ms=2.0, size=2_000, score=0.95),
    )
    report = Report("accuracy", "Accuracy", True, 100, 1, items)
    assert [item.method for item in report.pareto] == ["best", "accurate"]
    assert report.sentence == "PyTorch: 2.0× as fast and 30% of the size, with accuracy 90.0% as before."
    good = [replace(items[2], verdict="good"), replace(items[3], verdict="good")]
    words = [replace(report, measured=(base, items[1], *good)).verdict_of(item) for item in good]
    assert words == ["beaten by another variant", "larger and slower"]
    larger = replace(items[1], size=1_500, score=0.89)
    assert (
        "and 1.5× the size, with accuracy 89.0% instead of 90.0%." in replace(report, measured=(base, larger)).sentence
    )
    assert "Keep the original" in replace(report, measured=(base,)).sentence


@pytest.mark.parametrize(("lost", "verdict"), [(0, "recommended"), (1, "recommended"), (12, "worse")])
def test_a_loss_within_the_uncertainty_is_not_worse(digits: TrainedRun, lost: int, verdict: str) -> None:
    rows = torch.as_tensor(digits.data.split["test"][:90])
    target = torch.nn.functional.one_hot(digits.data.target[rows], 10).float()
    variant = target.clone()
    variant[:lost] = 1 - target[:lost]
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 1.0, 1.0, 0.0, "original", "")
    smaller = replace(base, method="variant", size=250, score=1 - lost / 90)
    comparison = Comparison(digits, "accuracy", (target, variant), rows)
    assert [item.verdict for item in with_verdicts([base, smaller], comparison)] == ["original", verdict]


def test_few_groups_do_not_excuse_a_large_loss(digits: TrainedRun) -> None:
    """The mistakes of each network are in a single group, so that both reaches by groups are larger than the loss."""
    rows, groups = torch.as_tensor(digits.data.split["test"][:90]), np.zeros(len(digits.data.raw), dtype=int)
    groups[rows.numpy()] = np.arange(90) // 9
    grouped = replace(digits, data=replace(digits.data, raw=copy(digits.data.raw)))
    grouped.data.raw.groups = groups
    original = torch.nn.functional.one_hot(digits.data.target[rows], 10).float()
    original[:9] = 1 - original[:9]
    variant = original.clone()
    variant[9:18] = 1 - original[9:18]
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 81 / 90, 1.0, 0.0, "original", "")
    smaller = replace(base, method="variant", size=250, score=72 / 90)
    comparison = Comparison(grouped, "accuracy", (original, variant), rows)
    assert with_verdicts([base, smaller], comparison)[1].verdict == "worse"


@pytest.fixture(scope="module")
def joint() -> TrainedRun:
    """A network that names the class of a text and tags its words."""
    project = with_rows(templates()["commands_joint"].project, 400)
    training = project.training.model_copy(update={"epochs": 8, "device": "cpu"})
    return fit_here(project.model_copy(update={"training": training}))


def scored(run: TrainedRun, output: torch.Tensor, rows: torch.Tensor, **changed: Any) -> Measured:
    """A measurement with the metrics of an output."""
    metrics = run.objective.evaluate(output, run.data, rows, "test").metrics
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, metrics["accuracy"], 1.0, 0.0, "original", "")
    return replace(base, output_scores=(("word_accuracy", metrics["word_accuracy"]),), **changed)


@pytest.mark.parametrize(("broken", "verdict"), [(None, "recommended"), ("class", "worse"), ("tags", "worse")])
def test_a_variant_is_worse_if_one_of_its_outputs_is(joint: TrainedRun, broken: str | None, verdict: str) -> None:
    rows = torch.as_tensor(joint.data.split["test"])
    original = joint.output_of("test")
    classes = len(joint.data.schema.target.classes)
    variant = original.clone()
    if broken is not None:
        part = variant[:, :classes] if broken == "class" else variant[:, classes:]
        part.copy_(-part)
    measured = [scored(joint, original, rows), scored(joint, variant, rows, method="variant", size=250)]
    assert measured[0].score > 0.6
    assert measured[0].output_scores[0][1] > 0.6
    comparison = Comparison(joint, "accuracy", (original, variant), rows)
    assert [item.verdict for item in with_verdicts(measured, comparison)] == ["original", verdict]


def test_each_output_has_its_metric() -> None:
    project = templates()["shapes_two_outputs"].project
    several = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))
    report, _ = measure(several, ["onnx"], repeats=2)
    metrics = several.objective.evaluate(
        several.output_of("test"),
        several.data,
        torch.as_tensor(several.data.split["test"]),
        "test",
        several.calibration,
    ).metrics
    assert report.metric == "loss"
    names = [name for name, _ in report.measured[0].output_scores]
    assert names == ["accuracy (shape)", "mae (area)"]
    assert dict(report.measured[0].output_scores) == pytest.approx({name: metrics[name] for name in names}, rel=1e-4)
    better = replace(report.measured[0], size=1, p50_ms=1e-9, verdict="recommended")
    words = replace(report, measured=(report.measured[0], better)).sentence
    assert re.search(r"with loss \S+ as before and accuracy \(shape\) \S+ as before and .* as before\.$", words), words
    rows = torch.as_tensor(several.data.split["test"])
    output = several.output_of("test")
    assert loss_of(several, output, rows) == pytest.approx(metrics["loss"], rel=1e-4)
    base = replace(report.measured[0], output_scores=())
    poor = replace(base, method="poor", size=1, score=loss_of(several, 3 * output + 5, rows))
    comparison = Comparison(several, "loss", (output, 3 * output + 5), rows)
    assert [item.verdict for item in with_verdicts([base, poor], comparison)] == ["original", "worse"]
    worse = replace(better, output_scores=(("accuracy (shape)", 0.0), better.output_scores[1]))
    assert set(replace(report, measured=(better, worse)).pareto) == {better}


@pytest.mark.parametrize(
    ("size", "p50_ms", "words"),
    [
        (500, 0.5, "smaller and faster"),
        (950, 0.5, "faster"),
        (1_500, 0.5, "faster, but larger"),
        (500, 2.0, "smaller, but slower"),
        (1_500, 2.0, "larger and slower"),
        (1_000, 1.0, "no gain"),
    ],
)
def test_the_words_of_a_verdict_follow_from_size_and_time(size: int, p50_ms: float, words: str) -> None:
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 0.9, 1.0, 0.0, "original", "")
    variant = replace(base, method="variant", title="Variant", size=size, p50_ms=p50_ms, verdict="recommended")
    report = Report("accuracy", "Accuracy", True, 100, 1, (base, variant))
    assert report.verdict_of(base) == "original"
    assert report.verdict_of(variant) == f"recommended: {words}"
    assert report.verdict_of(replace(variant, verdict="slower")) == words
    assert report.verdict_of(replace(variant, verdict="worse")) == "worse predictions"


def test_a_smaller_but_slower_variant_is_a_choice() -> None:
    base = Measured("original", "PyTorch", 1_000, 1.0, 1.2, 0.9, 1.0, 0.0, "original", "")
    slower = replace(base, method="variant", title="Variant", size=250, p50_ms=2.0, verdict="slower")
    assert Report("accuracy", "Accuracy", True, 100, 1, (base, slower)).sentence == (
        "Keep the original, unless size matters more than time: Variant has 25% of the size with predictions that are "
        "as good, but takes 2.0× the time."
    )


def test_classes_that_lose_recall_are_named_and_counted() -> None:
    base = Measured("variant", "Variant", 1_000, 1.0, 1.2, 0.9, 1.0, 0.0, "worse", "")
    losses = (("a", 0.5), ("b", 0.25), ("c", 0.125), ("d", 0.1))
    assert replace(base, lost_classes=losses).losses == "Recall lost: a −50.0%, b −25.0%, c −12.5% and 1 more."
    assert (replace(base, lost_classes=losses[:1]).losses, base.losses) == ("Recall lost: a −50.0%.", "")


def test_pruned_network_loses_the_recall_of_its_evaluation(
    digits: TrainedRun, measured: tuple[Report, dict[str, Variant]]
) -> None:
    report, variants = measured
    network, rows = OnnxNetwork(variants["pruning"].content), digits.data.split["test"]
    target = digits.data.target[rows]
    predicted = network.outputs([digits.data.inputs["image"][rows]])[0].argmax(1)
    before = digits.output_of("test").argmax(1)
    lost = {}
    for number, name in enumerate(digits.data.schema.target.classes):
        of_class = target == number
        lost[name] = float((before == target)[of_class].float().mean() - (predicted == target)[of_class].float().mean())
    expected = {name: loss for name, loss in lost.items() if loss > 0}
    assert dict(by_method(report)["pruning"].lost_classes) == pytest.approx(expected, abs=1e-3)


def test_network_that_ends_in_softmax_is_measured_on_logits() -> None:
    trained = fit_here(moons_project(("Softmax", {})))
    report, _ = measure(trained, ["onnx"], repeats=5)
    assert report.measured[1].difference < 1e-4


def test_anomaly_detectors_are_compared_by_roc_auc() -> None:
    project = templates()["pulses_anomaly"].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))
    report, _ = measure(run, ["onnx"], repeats=2)
    assert (report.metric, report.higher_is_better) == ("roc_auc", True)
    expected = evaluate(run).metrics["roc_auc"]
    assert [row.score for row in report.measured] == pytest.approx([expected, expected], rel=1e-4)


def test_rows_without_a_defined_metric_are_compared_by_their_loss() -> None:
    project = templates()["pulses_anomaly"].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))
    usual = run.data.target[run.data.split["test"]] == run.data.target.bincount().argmax()
    run.data.split["test"] = run.data.split["test"][usual]
    report, _ = measure(run, ["onnx"], repeats=2)
    rows = run.data.split["test"]
    inputs, target = [run.data.inputs[name][rows] for name in run.fields], run.objective.target(run.data)[rows]
    assert (report.metric, report.higher_is_better) == ("loss", False)
    expected = compute_metrics(run.scorer, run.objective, inputs, target)["loss"]
    assert [row.score for row in report.measured] == pytest.approx([expected, expected], rel=1e-4)


def test_runs_and_methods_that_do_not_fit_are_refused(digits: TrainedRun, console: Console, trained: Trained) -> None:
    with pytest.raises(CompressionError, match="no method 'magic'; choose from onnx"):
        measure(digits, ["magic"])
    assert console("optimize", "last", "--home", trained.home, "--method", "magic").code == 2


def test_report_is_readable(console: Console, trained: Trained) -> None:
    answer = console("optimize", "last", "--home", trained.home, "--method", "onnx")
    assert answer.code == 0, answer.err
    assert "ONNX Runtime" in answer.out
    assert "test rows" in answer.out
    assert io.StringIO(answer.out).readline().rstrip().endswith(".")
