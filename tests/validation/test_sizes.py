"""Parameters, FLOPs and memory against published counts and formulas, and the duration of an analysis."""

from __future__ import annotations

import resource
import time
from typing import Any

import psutil
import pytest
import torch

from netloom.compile import module
from netloom.document import Project, Training, apply
from netloom.templates import templates
from netloom.validation import analyze, validate
from netloom.validation.facts import BYTES_PER_TRAINED_WEIGHT, BYTES_PER_WEIGHT
from netloom.validation.measure import measure
from tests.networks import TABLE, chain, project

MNIST = ("Input", {"field": "image", "kind": "image", "shape": [1, 28, 28]})


def conv2d(filters: int, size: int, padding: int = 0) -> tuple[str, dict[str, Any]]:
    return ("Conv2d", {"filters": filters, "kernel_size": size, "padding": padding})


def keras_cnn() -> Project:
    """The MNIST example of Keras: two convolutions, one pooling, two dense layers."""
    return chain(
        MNIST,
        conv2d(32, 3),
        ("ReLU", {}),
        conv2d(64, 3),
        ("ReLU", {}),
        ("MaxPool2d", {}),
        ("Dropout", {"rate": 0.25}),
        ("Flatten", {}),
        ("Linear", {"units": 128}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.5}),
        ("Linear", {"units": 10}),
    )


def lenet() -> Project:
    """LeNet-5 as it is usually taught, on 32 by 32 pixels."""
    return chain(
        ("Input", {"field": "image", "kind": "image", "shape": [1, 32, 32]}),
        conv2d(6, 5),
        ("Tanh", {}),
        ("AvgPool2d", {}),
        conv2d(16, 5),
        ("Tanh", {}),
        ("AvgPool2d", {}),
        conv2d(120, 5),
        ("Tanh", {}),
        ("Flatten", {}),
        ("Linear", {"units": 84}),
        ("Tanh", {}),
        ("Linear", {"units": 10}),
    )


def deep(layers: int, width: int = 64) -> Project:
    """Residual blocks of a linear layer and an activation, `layers` nodes in all."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": TABLE,
        "linear_0": ("Linear", {"units": width}),
        "output_1": ("Output", {}),
    }
    edges, last, number = [("input_1", "linear_0")], "linear_0", 0
    while len(nodes) + 3 <= layers:
        number += 1
        names = f"linear_{number}", f"relu_{number}", f"add_{number}"
        nodes |= {names[0]: ("Linear", {"units": width}), names[1]: ("ReLU", {}), names[2]: ("Add", {})}
        edges += [(last, names[0]), (names[0], names[1]), (names[1], f"{names[2]}.a"), (last, f"{names[2]}.b")]
        last = names[2]
    return project(nodes, [*edges, (last, "output_1")])


def analysis_seconds(document: Project) -> float:
    start = time.process_time()
    analyze(document)
    return time.process_time() - start


def test_keras_mnist_network_has_the_published_parameter_count() -> None:
    totals = analyze(keras_cnn()).totals
    assert totals.parameters == totals.trainable == 1_199_882
    assert totals.layers == 11


def test_lenet_has_the_published_parameter_count() -> None:
    assert analyze(lenet()).totals.parameters == 61_706


def test_flops_match_two_per_multiply_add() -> None:
    expected = 2 * (26 * 26 * 32 * 9 + 24 * 24 * 64 * 32 * 9 + 9216 * 128 + 128 * 10)
    assert analyze(keras_cnn()).totals.flops == expected
    lenet_flops = 2 * (28 * 28 * 6 * 25 + 10 * 10 * 16 * 6 * 25 + 120 * 16 * 25 + 120 * 84 + 84 * 10)
    assert analyze(lenet()).totals.flops == lenet_flops


def test_transformer_block_flops_match_the_formula() -> None:
    steps, width, hidden, heads = 12, 16, 24, 4
    document = chain(
        ("Input", {"kind": "sequence", "shape": [steps, width]}),
        ("TransformerEncoderBlock", {"heads": heads, "hidden": hidden}),
        ("GlobalAvgPool", {}),
        ("Linear", {"units": 2}),
    )
    facts = analyze(document).nodes["transformerencoderblock_1"]
    assert facts.parameters == 4 * (width * width + width) + 2 * 2 * width + 2 * width * hidden + hidden + width
    projections = 4 * steps * width * width + 2 * steps * width * hidden
    assert facts.flops == 2 * (projections + 2 * steps * steps * width)


@pytest.mark.parametrize("name", list(templates()))
def test_totals_match_the_built_module(name: str) -> None:
    document = templates()[name].project
    built = module(document)
    totals = analyze(document).totals
    assert totals.parameters == sum(weight.numel() for weight in built.parameters()) == templates()[name].parameters
    assert totals.trainable == sum(weight.numel() for weight in built.parameters() if weight.requires_grad)


def test_frozen_weights_need_no_gradient_memory() -> None:
    document = keras_cnn()
    frozen = apply(document, {"kind": "update", "node": "linear_1", "frozen": True})
    before, after = analyze(document).totals, analyze(frozen).totals
    weights = 9216 * 128 + 128
    assert before.trainable - after.trainable == weights
    assert before.parameters == after.parameters
    assert before.memory_bytes - after.memory_bytes == weights * (BYTES_PER_TRAINED_WEIGHT - BYTES_PER_WEIGHT)


def test_memory_grows_with_the_batch() -> None:
    memory = [
        analyze(keras_cnn().model_copy(update={"training": Training(batch_size=size)})).totals.memory_bytes
        for size in (1, 2, 3)
    ]
    assert memory[2] - memory[1] == memory[1] - memory[0] > 28 * 28 * 4


def test_activation_memory_matches_what_autograd_saves() -> None:
    """A linear layer saves its input, which belongs to the previous layer; an activation saves its output."""
    facts = analyze(chain(TABLE, ("Linear", {"units": 50}), ("Tanh", {}), ("Linear", {"units": 10}))).nodes
    assert facts["tanh_1"].activation_bytes == 50 * 4
    assert facts["linear_1"].activation_bytes == 50 * 4
    assert facts["linear_2"].activation_bytes == 10 * 4


@pytest.mark.parametrize(
    "layers",
    [
        [("Linear", {"units": 10**12})],
        [("Linear", {"units": 10**6}), ("Linear", {"units": 10**6})],
        [("Reshape", {"shape": [10, 3]}), ("Linear", {"units": 10**6}), ("LSTM", {"hidden_size": 65_536})],
        [
            ("Reshape", {"shape": [1, 5, 6]}),
            ("Conv2d", {"filters": 65_536, "kernel_size": 1024, "padding": 1024}),
            ("Conv2d", {"filters": 65_536, "kernel_size": 1024, "padding": 1024}),
        ],
    ],
)
def test_oversized_networks_are_refused_within_two_seconds(layers: list[tuple[str, dict[str, Any]]]) -> None:
    analyze(chain(TABLE, *layers[:1], ("ReLU", {})))  # imports
    measure.cache_clear()
    document = chain(TABLE, *layers, ("GlobalMaxPool", {}) if len(layers) > 2 else ("Flatten", {}))
    start = time.process_time()
    issues = validate(document)
    assert time.process_time() - start < 2.0
    assert [issue for issue in issues if issue.severity == "error"]
    for issue in issues:
        assert "\n" not in issue.message


def test_refused_network_allocates_no_memory() -> None:
    validate(chain(TABLE, ("Linear", {"units": 10})))  # imports
    measure.cache_clear()
    low, high = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 200 * 2**20, high))
    try:
        issues = validate(chain(TABLE, ("Linear", {"units": 10**6}), ("Linear", {"units": 10**6})))
        with pytest.raises(RuntimeError, match="alloc"):
            torch.empty(2**28)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (low, high))
    assert [issue.code for issue in issues] == ["memory"]


def test_300_nodes_are_analyzed_within_three_seconds() -> None:
    document = deep(300)
    analyze(deep(12))  # imports
    measure.cache_clear()
    start = time.process_time()
    analysis = analyze(document)
    assert time.process_time() - start < 3.0
    assert not analysis.issues
    assert len(analysis.nodes) == len(document.main_network.nodes)


def test_2000_nodes_with_an_error_are_analyzed_within_five_seconds() -> None:
    document = deep(1998)
    document = apply(document, {"kind": "remove", "nodes": ["output_1"], "edges": []})
    start = time.process_time()
    assert "no_output" in {issue.code for issue in validate(document)}
    assert time.process_time() - start < 5.0


def test_edit_measures_only_the_changed_layer() -> None:
    document = chain(TABLE, *[layer for units in range(100, 180) for layer in (("Linear", {"units": units}),)])
    analyze(document)  # imports
    measure.cache_clear()
    first = analysis_seconds(document)
    repeated = min(analysis_seconds(document) for _ in range(3))
    assert repeated * 3 < first
    misses = measure.cache_info().misses
    analyze(apply(document, {"kind": "set", "node": "linear_80", "params": {"units": 7}}))
    assert measure.cache_info().misses == misses + 1


def test_analysis_has_shapes_at_every_node_and_edge() -> None:
    analysis = analyze(keras_cnn())
    shapes = {key: str(facts.outputs["out"]) for key, facts in analysis.nodes.items() if facts.outputs}
    assert shapes["conv2d_1"] == "(N, 32, 26, 26)"
    assert shapes["maxpool2d_1"] == "(N, 64, 12, 12)"
    assert shapes["flatten_1"] == "(N, 9216)"
    edge = keras_cnn().main_network.edges[-1]
    assert str(analysis.edge_spec(edge)) == "(N, 10)"


def test_nodes_before_an_error_are_measured() -> None:
    document = apply(keras_cnn(), {"kind": "set", "node": "conv2d_2", "params": {"kernel_size": 99}})
    nodes = analyze(document).nodes
    assert "relu_1" in nodes
    assert "conv2d_2" not in nodes
    assert "relu_2" not in nodes


def test_analysis_keeps_the_random_state() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    measure.cache_clear()
    analyze(keras_cnn())
    assert torch.equal(before, torch.get_rng_state())
