"""Early exit: the threshold, the head and the conditional network are compared with their parts; and refusals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from netloom.compression import CompressionError, measure, registry
from netloom.compression.conditional_graph import left_early, with_early_exit
from netloom.compression.exit_head import confidence_threshold, first_output, fit_head, pooled
from netloom.compression.methods.early_exit import EarlyExit, exit_layers, proposed
from netloom.compression.timing import Network, peak_memory, times
from netloom.export.onnx_network import OnnxNetwork
from netloom.runs import TrainedRun, fit_here
from netloom.serving.models.backend import from_file
from netloom.templates import templates
from tests.cli.conftest import Console, Trained
from tests.training.test_output_scales import moons_project

pytestmark = pytest.mark.usefixtures("operators")


def template(name: str, epochs: int) -> TrainedRun:
    project = templates()[name].project
    training = project.training.model_copy(update={"epochs": epochs})
    return fit_here(project.model_copy(update={"training": training}))


@pytest.fixture(scope="module")
def resnet() -> TrainedRun:
    """A network with repeated residual blocks, whose shortcuts pass the exit."""
    return template("digits_resnet", 2)


@pytest.fixture
def _weak_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit that learned from few rows, so that not all of them leave."""
    monkeypatch.setattr("netloom.compression.methods.early_exit.TRAINING_ROWS", 60)


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.3])
def test_threshold_is_the_lowest_that_keeps_the_accuracy(tolerance: float) -> None:
    for seed in range(40):
        generator = np.random.default_rng(seed)
        confidence = generator.integers(1, 8, 20) / 8  # with equal ones
        is_right, at_end = generator.random(20) < 0.2 + 0.8 * confidence, generator.random(20) < 0.8

        def accuracy(
            threshold: float, confidence: Any = confidence, is_right: Any = is_right, at_end: Any = at_end
        ) -> float:
            return float(np.where(confidence >= threshold, is_right, at_end).mean())

        good = [level for level in np.unique(confidence) if accuracy(level) >= at_end.mean() - tolerance - 1e-9]
        chosen = confidence_threshold(confidence, is_right, at_end, tolerance)
        if chosen is None:
            assert not good
            continue
        threshold, left = chosen
        assert left == np.mean(confidence >= threshold) == np.mean(confidence >= min(good))
        assert accuracy(threshold) == accuracy(min(good))


@pytest.mark.parametrize("present", [(0, 1, 2, 3), (1, 3)])
def test_head_is_a_logistic_regression_of_standardized_features(present: tuple[int, ...]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(0)
    labels = generator.choice(present, 120)
    values = 5 + 3 * generator.normal(size=(120, 6)) + labels[:, None]
    values[:, 2] = 7.0  # constant
    head = fit_head(torch.from_numpy(values).float(), labels, 4)
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=100)).fit(values, labels)
    with torch.no_grad():
        probabilities = head(torch.from_numpy(values).float()).softmax(1).numpy()
    assert probabilities[:, list(present)] == pytest.approx(expected.predict_proba(values), abs=1e-3)


def test_features_are_means_over_a_coarse_grid() -> None:
    torch.manual_seed(0)
    images, sequences = torch.randn(2, 3, 8, 6), torch.randn(2, 5, 4)
    grid = pooled(images).view(2, 3, 4, 3)  # fields of 2 × 2 positions
    assert torch.allclose(grid[1, 2, 3, 0], images[1, 2, 6:, :2].mean())
    many = torch.randn(1, 300, 8, 8)
    assert torch.allclose(pooled(many), many.mean((2, 3)), atol=1e-6)
    steps, features = [sequences.mean(2), sequences.amax(2)], [sequences.mean(1), sequences.amax(1)]
    assert torch.equal(pooled(sequences), torch.cat([*steps, *features], 1))
    long = torch.randn(1, 4_000, 3)
    assert torch.equal(pooled(long), torch.cat([long.mean(1), long.amax(1)], 1))
    wide = torch.randn(1, 10, 1_280)  # all features of both axes
    assert torch.equal(pooled(wide)[:, 20:], torch.cat([wide.mean(1), wide.amax(1)], 1))


def test_times_without_repeats_or_rows_are_not_divided_by_zero() -> None:
    def double(values: Sequence[torch.Tensor]) -> torch.Tensor:
        return 2 * values[0]

    assert times([double], [torch.zeros(0, 3)], 2, 1, 4).cpu_s.shape == (1,)
    assert times([double], [torch.zeros(5, 3)], 0, 1, 4).cpu_s.shape == (1,)


def test_no_network_is_always_timed_after_the_same_one() -> None:
    """The one before leaves caches that are filled or not, which was a quarter of the time of small networks."""
    calls: list[int] = []

    def network(number: int) -> Network:
        def run(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
            calls.append(number)
            return tensors[0]

        return run

    times(list(map(network, range(3))), [torch.zeros(20, 1)], repeats=100, threads=1, batch=4)
    turns = np.array(calls[: 3 * 100]).reshape(-1, 3)
    assert (np.sort(turns) == [0, 1, 2]).all()
    assert all(20 < np.count_nonzero(turns[:, place] == number) < 50 for place in range(3) for number in range(3))


def test_exit_after_a_convolution_of_sequences_reads_its_channels() -> None:
    """Six positions of four channels, (N, 4, 6), become means and maxima of both."""
    convolution: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Linear", {"units": 8}),
        ("Unsqueeze", {"axis": 1}),
        ("Conv1d", {"filters": 4, "kernel_size": 3, "padding": 0}),
        ("ReLU", {}),
        ("Flatten", {}),
        ("Linear", {"units": 2}),
    )
    run = fit_here(moons_project(*convolution))
    variant = EarlyExit("relu_2", 0.2).compress(run)
    weights = onnx.load_from_string(variant.content).graph.initializer
    assert [2, 2 * (4 + 6)] in [sorted(item.dims) for item in weights]
    rows = run.data.split["test"]
    assert left_early(variant.content, [run.data.inputs[name][rows] for name in run.fields]).any()


def residual_graph() -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """Return a graph with a shortcut from the input, and a shape of the trunk that its end reads."""
    generator = np.random.default_rng(0)
    exit_weight, end_weight = generator.normal(size=(6, 3)), generator.normal(size=(6, 3))
    constants: dict[str, Any] = {
        "w": exit_weight.astype(np.float32), "v": end_weight.astype(np.float32),
        "first": np.array([0], np.int64), "rest": np.array([-1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Relu", ["x"], ["hidden"]),  # (N, 2, 3)
        helper.make_node("Shape", ["hidden"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "rest"], ["flat"], axis=0),
        helper.make_node("Reshape", ["hidden", "flat"], ["features"]),
        helper.make_node("MatMul", ["features", "w"], ["exit"]),
        helper.make_node("Add", ["hidden", "x"], ["sum"]),
        helper.make_node("Reshape", ["sum", "flat"], ["late"]),
        helper.make_node("MatMul", ["late", "v"], ["end"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 3])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("end", "exit")]
    constants_ = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, constants_)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model, exit_weight, end_weight


@pytest.mark.parametrize("rows", [1, 7])
def test_rows_that_do_not_leave_are_computed_to_the_end(rows: int) -> None:
    model, exit_weight, end_weight = residual_graph()
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(50, 2, 3)).astype(np.float32))
    values = x.numpy().astype(np.float64)
    hidden = np.maximum(values, 0)
    head, end = hidden.reshape(50, 6) @ exit_weight, (hidden + values).reshape(50, 6) @ end_weight
    confidence = (np.exp(head) / np.exp(head).sum(1, keepdims=True)).max(1)
    for threshold in (0.0, float(np.median(confidence)) + 1e-4, 1.1):
        network = with_early_exit(model, threshold, [x]).SerializeToString()
        leaves = np.concatenate([left_early(network, [x[start : start + rows]]) for start in range(0, 50, rows)])
        assert leaves.tolist() == (confidence >= threshold).tolist()
        session = OnnxNetwork(network, 1)
        outputs = np.concatenate([session.outputs([x[start : start + rows]])[0] for start in range(0, 50, rows)])
        assert outputs == pytest.approx(np.where(leaves[:, None], head, end), abs=1e-4)
    probable = OnnxNetwork(with_early_exit(model, 0.0, [x], "probabilities").SerializeToString(), 1).outputs([x])[0]
    assert probable.max(1).values.numpy() == pytest.approx(confidence, abs=1e-5)


def test_layers_after_an_exit_run_only_if_a_row_needs_them() -> None:
    """Only the condition reads the weights of the layers after the exit."""
    model, _, _ = residual_graph()
    network = with_early_exit(model, 0.5, [torch.zeros(5, 2, 3)])
    assert "v" not in {name for node in network.graph.node for name in node.input}
    swapped = onnx.ModelProto.FromString(model.SerializeToString())
    swapped.graph.output[0].name = "features"  # before the exit
    with pytest.raises(CompressionError, match="No operation follows this layer"):
        with_early_exit(swapped, 0.5, [torch.zeros(5, 2, 3)])


@pytest.mark.usefixtures("_weak_head")
def test_file_answers_early_by_the_exit_and_otherwise_as_the_original(resnet: TrainedRun, tmp_path: Path) -> None:
    report, [variant] = measure(resnet, [EarlyExit("basic_1.0", 0.02)], repeats=2)
    original, measured = report.measured
    rows = resnet.data.split["test"]
    inputs = [resnet.data.inputs[name][rows] for name in resnet.fields]
    leaves = torch.from_numpy(left_early(variant.content, inputs))
    assert measured.left_early == pytest.approx(float(leaves.float().mean()))
    assert 0 < leaves.sum() < len(leaves)
    assert (original.left_early, len(variant.content) > original.size) == (None, True)
    [outputs] = OnnxNetwork(variant.content, 1).outputs(inputs)
    with torch.no_grad():
        end = first_output(resnet.model(*inputs))
    assert torch.allclose(outputs[~leaves], end[~leaves], atol=1e-4)
    assert not torch.allclose(outputs[leaves], end[leaves], atol=1e-1)
    assert measured.score == pytest.approx(float((outputs.argmax(1) == resnet.data.target[rows]).float().mean()))
    assert "An exit after First stage 1, at 27% of the operations" in measured.note
    # A row by itself gets the answer that it gets in a batch, from the model server as well.
    (tmp_path / "exit.onnx").write_bytes(variant.content)
    served = from_file(resnet, tmp_path / "exit.onnx")
    for row in range(8):
        single_row = {name: value[row : row + 1] for name, value in zip(resnet.fields, inputs, strict=True)}
        assert torch.allclose(served.output(single_row), outputs[row : row + 1], atol=1e-4)


@pytest.mark.usefixtures("_weak_head")
def test_accuracy_on_validation_rows_keeps_the_tolerance(digits: TrainedRun) -> None:
    rows = digits.data.split["validation"]
    inputs, labels = [digits.data.inputs[name][rows] for name in digits.fields], digits.data.target[rows]
    with torch.no_grad():
        before = (first_output(digits.model(*inputs)).argmax(1) == labels).float().mean()
    shares = []
    for tolerance in (0.0, 0.1):
        variant = EarlyExit("linear_1", tolerance).compress(digits)
        after = (OnnxNetwork(variant.content, 1).outputs(inputs)[0].argmax(1) == labels).float().mean()
        assert after >= before - tolerance - 1e-6
        shares.append(left_early(variant.content, inputs).mean())
    assert shares[0] < shares[1]


def test_proposed_layers_have_operations_before_and_after_them(resnet: TrainedRun) -> None:
    layers = exit_layers(resnet)
    shares = {layer.path: layer.share for layer in layers}
    # Two convolutions of 16 channels to 16 on 8 × 8 positions, twice, among 2,247,296 operations of all layers
    block = 2 * 2 * 16 * 16 * 9 * 64
    assert shares["basic_1.1"] - shares["basic_1.0"] == pytest.approx(block / layers[0].operations)
    assert [layer.path for layer in proposed(layers)] == ["relu_1", "basic_1.0", "basic_1.1", "down_1"]


def test_network_that_ends_in_probabilities_exits_with_probabilities() -> None:
    run = fit_here(moons_project(("Softmax", {})))
    report, [variant] = measure(run, [EarlyExit("relu_1", 0.3)], repeats=2)
    rows = run.data.split["test"]
    [outputs] = OnnxNetwork(variant.content, 1).outputs([run.data.inputs[name][rows] for name in run.fields])
    assert outputs.sum(1).numpy() == pytest.approx(np.ones(len(rows)), abs=1e-5)
    assert (report.measured[1].left_early or 0) > 0


def test_runs_without_a_sensible_exit_are_refused(resnet: TrainedRun) -> None:
    method = registry()["early_exit"]
    with pytest.raises(CompressionError, match="predicts one class for each row"):
        method.compress(template("diabetes", 0))
    with pytest.raises(CompressionError, match="too shallow"):
        method.compress(template("breast_cancer", 0))
    with pytest.raises(CompressionError, match=r"There is no layer 'nowhere'.*choose one of conv2d_1, "):
        EarlyExit("nowhere").compress(resnet)
    with pytest.raises(CompressionError, match="No operation follows this layer"):
        EarlyExit("linear_1", 0.5).compress(resnet)
    one_class = replace(resnet.data, target=torch.zeros_like(resnet.data.target))
    with pytest.raises(CompressionError, match="one class only"):
        method.compress(replace(resnet, data=one_class))
    split = {**resnet.data.split, "validation": resnet.data.split["validation"][:9]}
    with pytest.raises(CompressionError, match="at least 30 validation rows, but this run has 9"):
        method.compress(replace(resnet, data=replace(resnet.data, split=split)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "onnx", "--exit-at", "relu_1"), "--exit-at has no effect with onnx"),
        (("--method", "early-exit", "--tolerance", "100"), "--tolerance must be a number of points from 0 to 100"),
        (("--sensitivity", "--exit-at", "relu_1"), "--exit-at has no effect with --sensitivity"),
    ],
)
def test_options_without_an_effect_are_refused(
    console: Console, trained: Trained, options: Sequence[str], message: str
) -> None:
    answer = console("optimize", "last", "--home", trained.home, *options)
    assert (answer.code, message in answer.err) == (2, True), answer.err


def test_command_shows_who_left_and_what_energy_assumes(console: Console, trained: Trained) -> None:
    options = ("--method", "early-exit", "--exit-at", "linear_1", "--tolerance", "2")
    answer = console("optimize", "last", "--home", trained.home, *options)
    assert answer.code == 0, answer.err
    assert "exited early" in answer.out
    assert "An exit after " in answer.out
    assert "with at most 2 points less accuracy" in answer.out
    assert "estimated from processor time, at 12 W for each busy core" in answer.out


def product(size: int) -> bytes:
    """Return a network that multiplies rows by a matrix."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones((size, size), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "network", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


def test_costs_are_those_of_the_work() -> None:
    def busy(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        begin = time.process_time()
        while time.process_time() - begin < 0.002 * len(tensors[0]):
            pass
        return tensors[0]

    def idle(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        time.sleep(0.002 * len(tensors[0]))
        return tensors[0]

    # Its other threads wait busily after each prediction.
    threaded = OnnxNetwork(product(1_024), 4)
    [_, beside] = times(
        [lambda tensors: threaded.outputs(tensors)[0], idle], [torch.zeros(64, 1_024)], repeats=20, threads=4, batch=64
    ).cpu_s
    assert beside < 0.002  # of 2 ms it sleeps almost all, and threads that wait busily would take 4 × 2 ms
    measured = times([busy, idle], [torch.zeros(20, 1)], repeats=5, threads=1, batch=4)
    assert measured.cpu_s[0] > 2 * measured.cpu_s[1]
    assert np.median(measured.batches, axis=1).min() >= 4 * 2
    assert np.median(measured.rows, axis=1).min() >= 2
    size = 32 * 2**20
    # Other threads of this process, those of earlier tests, may free memory at the same time
    grown = peak_memory([lambda: np.ones(size, np.uint8)] * 5)
    measured_sizes = [value for value in grown if value is not None]
    assert not measured_sizes or 0.9 * size <= max(measured_sizes) < 1.1 * size
