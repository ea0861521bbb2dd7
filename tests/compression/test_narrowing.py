"""Structured pruning: dependencies between layers, the weights of the narrow network, and the order of channels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netloom.compile import module
from netloom.compression import CompressionError
from netloom.compression.channel_graph import ChannelGraph
from netloom.compression.importance import importance
from netloom.compression.narrowing import Narrowed, least_important, masked, narrow_student, narrowed
from netloom.compression.probe import passed_channels
from netloom.document import DataChoice, Edge, Network, Node, Project, Training
from netloom.layers.layer import TensorSpec
from netloom.runs import TrainedRun, fit_here
from netloom.tasks import tasks
from netloom.templates import templates
from netloom.validation import analyze
from tests.networks import IMAGE, chain, network, project
from tests.training.test_output_scales import moons_project

DIGITS: dict[str, Any] = {"data": DataChoice(dataset="digits"), "training": Training(epochs=0, device="cpu")}
HEAD: dict[str, tuple[str, dict[str, Any]]] = {"linear_1": ("Linear", {"units": 10}), "output_1": ("Output", {})}


def untrained(document: Project) -> TrainedRun:
    """A run without training, with random statistics in its normalizations."""
    run = fit_here(document)
    generator = torch.Generator().manual_seed(0)
    for name, value in run.model.state_dict().items():
        if "running" in name or ("norm" in name and value.is_floating_point()):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return run


def pruned(run: TrainedRun, amount: float = 0.5) -> Narrowed:
    return narrowed(run, amount, importance(run, "l1"))


def check_equals_masked(run: TrainedRun, amount: float = 0.5) -> Narrowed:
    """Compare the narrow network with the original whose removed channels are not read, on test rows in float64."""
    narrow = pruned(run, amount)
    graph = ChannelGraph(analyze(run.project, run.data.schema).context, run.model)
    removed = least_important(graph, amount, importance(run, "l1")(graph))
    rows = run.data.split["test"][:40]
    inputs = [run.data.inputs[name][rows].double() for name in run.fields]
    with torch.no_grad():
        expected, result = masked(run.model, graph, removed).double()(*inputs), narrow.model().double()(*inputs)
    assert float((expected - result).abs().max()) < 1e-9
    assert not torch.allclose(result, run.model.double()(*inputs))
    run.model.float()
    return narrow


def joined(edges: list[str]) -> list[tuple[str, str]]:
    return [(edge.split(" ")[0], edge.split(" ")[1]) for edge in edges]


def residual_network() -> Project:
    """A residual addition, a concatenation, all normalizations, a depthwise convolution and Flatten → Linear."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": IMAGE,
        "stem": ("Conv2d", {"filters": 8}),
        "batch": ("BatchNorm2d", {}),
        "relu_1": ("ReLU", {}),
        "inner": ("Conv2d", {"filters": 12, "bias": False}),
        "group": ("GroupNorm", {"groups": 6}),
        "sigmoid": ("Sigmoid", {}),
        "back": ("Conv2d", {"filters": 8}),
        "add_1": ("Add", {}),
        "depthwise": ("DepthwiseConv2d", {"multiplier": 2}),
        "grouped": ("Conv2d", {"filters": 16, "groups": 16}),
        "side": ("Conv2d", {"filters": 4}),
        "concat_1": ("Concat", {"axis": 1}),
        "pool": ("MaxPool2d", {}),
        "flatten_1": ("Flatten", {}),
        **HEAD,
    }
    edges = joined(
        """input_1 stem,stem batch,batch relu_1,relu_1 inner,inner group,group sigmoid,sigmoid back,relu_1 add_1.a,
        back add_1.b,add_1 depthwise,depthwise grouped,grouped concat_1.a,input_1 side,side concat_1.b,concat_1 pool,
        pool flatten_1,flatten_1 linear_1,linear_1 output_1""".replace("\n", "")
        .replace("        ", "")
        .split(",")
    )
    return project(nodes, edges, **DIGITS)


def test_channels_are_followed_through_additions_concatenations_and_normalizations() -> None:
    run = untrained(residual_network())
    narrow = check_equals_masked(run)
    widths = {node: after for (_, node, _), (_, after) in narrow.widths.items()}
    assert widths == {"stem": 4, "back": 4, "inner": 6, "side": 2}
    nodes = narrow.project.main_network.nodes
    assert nodes["group"].params["groups"] == 3
    assert (nodes["grouped"].params["filters"], nodes["grouped"].params["groups"]) == (8, 8)
    model = narrow.model()
    assert model.get_submodule("depthwise").weight.shape == (8, 1, 3, 3)
    assert model.get_submodule("linear_1").weight.shape == (10, (8 + 2) * 16)


def test_kept_channels_have_the_weights_of_the_original() -> None:
    run = untrained(residual_network())
    before, after = run.model.state_dict(), pruned(run).state
    norms = before["inner.weight"].abs().sum((1, 2, 3))
    pairs = norms.view(6, 2).sum(1)  # the channels of a group of the group norm go together
    left = [channel for pair in sorted(pairs.topk(3).indices.tolist()) for channel in (2 * pair, 2 * pair + 1)]
    together = (norms / norms.mean()).view(6, 2).sum(1).topk(3).indices
    assert sorted(together.tolist()) == sorted({channel // 2 for channel in left})
    torch.testing.assert_close(after["group.weight"], before["group.weight"][left])
    torch.testing.assert_close(after["back.weight"].shape, torch.Size((4, 6, 3, 3)))


@pytest.mark.parametrize(
    "layers",
    [
        (("LSTM", {"hidden_size": 6, "layers": 2, "bidirectional": True}), ("Select", {"axis": 1, "index": -1})),
        (("TransformerBlock", {"heads": 4, "hidden": 12}), ("Flatten", {})),
        (("TransformerEncoderBlock", {"heads": 4, "hidden": 12, "causal": True}), ("Flatten", {})),
        (("SelfAttention", {"heads": 2, "position": "rotary"}), ("FeedForward", {"hidden": 10}), ("Flatten", {})),
        (("MultiHeadAttention", {"heads": 4}), ("RotaryAttention", {"heads": 2}), ("Flatten", {})),
        (("MultiHeadAttention", {"heads": 4}), ("AlibiAttention", {"heads": 2}), ("Flatten", {})),
        (("Linear", {"units": 9}), ("Softmax", {"axis": 2}), ("Linear", {"units": 6}), ("Flatten", {})),
    ],
    ids=["recurrent", "transformer", "encoder", "attention", "heads", "alibi", "softmax"],
)
def test_sequences_are_pruned(layers: tuple[tuple[str, dict[str, Any]], ...]) -> None:
    first: list[tuple[str, dict[str, Any]]] = [("Reshape", {"shape": [8, 8]}), ("Linear", {"units": 8})]
    steps = [*first, *layers, HEAD["linear_1"]]
    run = untrained(chain(IMAGE, *steps, **DIGITS))
    narrow = check_equals_masked(run)
    nodes = narrow.project.main_network.nodes
    if "transformerblock_1" in nodes:
        assert nodes["transformerblock_1"].params == {"heads": 2, "hidden": 6, "head_width": 2}
    if "transformerencoderblock_1" in nodes:
        params = {"heads": 2, "hidden": 6, "causal": True, "head_width": 2}
        assert nodes["transformerencoderblock_1"].params == params
        assert narrow.state["transformerencoderblock_1.attention.q.weight"].shape == (4, 8)
    if "multiheadattention_1" in nodes:
        assert nodes["multiheadattention_1"].params == {"heads": 2, "head_width": 2}
    if "rotaryattention_1" in nodes:
        assert nodes["rotaryattention_1"].params == {"heads": 1, "head_width": 4}
    if "alibiattention_1" in nodes:  # the slope of each head depends on the number of heads
        assert nodes["alibiattention_1"].params == {"heads": 2}
    if "softmax_1" in nodes:  # a softmax over the channels depends on all of them
        assert nodes["linear_2"].params["units"] == 9
        assert nodes["linear_3"].params["units"] == 3


def test_layer_that_counts_channels_keeps_them() -> None:
    """A reshape names its sizes, and a slice the places of its channels: both would break, or read other channels."""
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Conv2d", {"filters": 8}),
        ("Reshape", {"shape": [8, 64]}),
        ("Flatten", {}),
        ("Linear", {"units": 12}),
        ("Slice", {"axis": 1, "start": 2, "end": 6}),
        ("Linear", {"units": 8}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
    ]
    narrow = pruned(untrained(chain(IMAGE, *layers, **DIGITS)))
    assert set(narrow.widths) == {("main", "linear_2", "units")}


def test_uses_of_a_network_that_need_different_sizes_get_a_network_each() -> None:
    block = network(
        {
            "input_1": ("Input", {"kind": "vector", "shape": [64]}),
            "linear_1": ("Linear", {"units": "width"}),
            "relu_1": ("ReLU", {}),
            "output_1": ("Output", {}),
        },
        width=8,
    )
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": IMAGE,
        "flatten_1": ("Flatten", {}),
        "first": ("Subnetwork", {"network": "block", "values": {"width": 12}}),
        "second": ("Subnetwork", {"network": "block"}),
        "third": ("Subnetwork", {"network": "block", "repeat": 2}),
        **HEAD,
    }
    document = Project(name="Test", networks={"main": network(nodes), "block": block}, **DIGITS)
    narrow = pruned(untrained(document))
    units = {name: item.nodes["linear_1"].params["units"] for name, item in narrow.project.networks.items()}
    assert units == {"main": 10, "block": 6, "block_2": 4, "block_3": 4}
    assert narrow.project.main_network.nodes["third"].params == {"network": "block_3", "repeat": 2}
    assert narrow.state["third.1.linear_1.weight"].shape == (4, 4)


def test_weights_that_are_applied_several_times_fit_the_channels_of_all_times() -> None:
    block = network(
        {
            "input_1": ("Input", {"kind": "image", "shape": [6, 8, 8]}),
            "batchnorm2d_1": ("BatchNorm2d", {}),
            "conv2d_1": ("Conv2d", {"filters": 6}),
            "relu_1": ("ReLU", {}),
            "output_1": ("Output", {}),
        }
    )
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": IMAGE,
        "conv2d_1": ("Conv2d", {"filters": 6}),
        "block_1": ("Subnetwork", {"network": "block", "repeat": 3, "shared": True}),
        "globalavgpool_1": ("GlobalAvgPool", {}),
        **HEAD,
    }
    run = untrained(Project(name="Test", networks={"main": network(nodes), "block": block}, **DIGITS))
    narrow = check_equals_masked(run)
    assert narrow.widths == {("main", "conv2d_1", "filters"): (6, 3), ("block", "conv2d_1", "filters"): (6, 3)}
    assert narrow.state["block_1.0.batchnorm2d_1.weight"].shape == (3,)


def test_network_without_removable_channels_is_refused() -> None:
    run = untrained(chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 10}), **DIGITS))
    with pytest.raises(CompressionError, match="no layer whose channels can be removed"):
        pruned(run)
    with pytest.raises(CompressionError, match="can become narrower"):
        narrow_student(run, 0.5)


def test_tied_weights_keep_their_channels() -> None:
    nodes = {
        "input_1": Node(id="input_1", type="Input", params=dict[str, Any](IMAGE[1])),
        "flatten_1": Node(id="flatten_1", type="Flatten"),
        "linear_2": Node(id="linear_2", type="Linear", params={"units": 64}),
        "linear_3": Node(id="linear_3", type="Linear", params={"units": 64}, shares="linear_2"),
        "linear_4": Node(id="linear_4", type="Linear", params={"units": 20}),
        **{key: Node(id=key, type=kind, params=params) for key, (kind, params) in HEAD.items()},
    }
    ids = list(dict.fromkeys([*(key for key in nodes if key not in HEAD), *HEAD]))
    edges = tuple(Edge(source=a, target=b) for a, b in pairwise(ids))
    document = Project(name="Test", networks={"main": Network(nodes=nodes, edges=edges)}, **DIGITS)
    assert set(pruned(untrained(document)).widths) == {("main", "linear_4", "units")}


def test_student_is_narrower_where_pruning_cannot_be() -> None:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Reshape", {"shape": [8, 8]}),
        ("Linear", {"units": 16}),
        ("TransformerEncoderBlock", {"heads": 4, "hidden": 32}),
        ("Flatten", {}),
        ("Linear", {"units": 10}),
    ]
    run = untrained(chain(IMAGE, *layers, **DIGITS))
    block = "transformerencoderblock_1"
    assert set(pruned(run).widths) == {("main", block, "hidden"), ("main", block, "heads")}
    student = narrow_student(run, 0.5).main_network.nodes
    assert student["linear_1"].params["units"] == 8
    assert student["transformerencoderblock_1"].params["hidden"] == 16
    assert student["linear_2"].params["units"] == 10


FEW = ("digits_resnet", "shapes_unet", "intents_lstm", "clicks_deepfm")
TEMPLATES = [
    name if name in FEW else pytest.param(name, marks=pytest.mark.long)
    for name, template in templates().items()
    if not tasks()[template.project.training.objective].environment
]


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_template_becomes_narrower_or_says_why(name: str) -> None:
    project = templates()[name].project
    run = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})}))
    before = sum(value.numel() for value in run.model.state_dict().values())
    # Normalizations or blocks without a parameter for their width depend on all channels of these.
    fixed = {"sine_tcn", "sine_dlinear", "sine_own_cell", "station_dlinear"}
    if name in {*fixed, "intents_linear_attention", "intents_mamba"}:
        with pytest.raises(CompressionError, match="no layer whose channels can be removed"):
            pruned(run)
    else:  # `narrowed` verifies that the network equals the masked original
        assert sum(value.numel() for value in pruned(run).state.values()) < before
    if name in fixed:
        with pytest.raises(CompressionError, match="can become narrower"):
            narrow_student(run, 0.5)
    else:
        assert sum(value.numel() for value in module(narrow_student(run, 0.5)).state_dict().values()) < before


@pytest.mark.parametrize("amount", [0.0, 1.0, float("nan")])
def test_share_outside_of_its_bounds_is_refused(amount: float) -> None:
    with pytest.raises(CompressionError, match="between 0 and 1"):
        pruned(untrained(residual_network()), amount)


@pytest.mark.parametrize("frozen", [False, True])
def test_taylor_importance_is_the_gradient_of_a_gate(frozen: bool) -> None:
    """Σ weight·gradient of a channel is the derivative of the loss by a factor of its output."""
    project = moons_project()
    network = project.main_network
    nodes = {**network.nodes, "linear_1": network.nodes["linear_1"].model_copy(update={"frozen": frozen})}
    run = fit_here(project.model_copy(update={"networks": {project.main: network.with_nodes(nodes, network.edges)}}))
    graph = ChannelGraph(analyze(run.project, run.data.schema).context, run.model)
    scores = importance(run, "taylor")(graph)
    [width] = [setting for setting in graph.settings if setting.is_width and setting.node == "linear_1"]
    estimated = np.array([scores[root] for root in graph.roots(width.numbers).tolist()])
    from netloom.training.trainers.registry import build_trainer

    loader = build_trainer(run.project, run.source, run.data).loader  # type: ignore[attr-defined]
    gradients = []
    for inputs, targets, _ in loader.epoch(0, start=0):
        gate = torch.ones(8, requires_grad=True)
        first, last = run.model.get_submodule("linear_1"), run.model.get_submodule("linear_2")
        output = last((first(inputs[0]) * gate).relu())
        [gradient] = torch.autograd.grad(nn.functional.cross_entropy(output, targets), gate)
        gradients.append(gradient.abs().numpy())
    assert estimated == pytest.approx(np.mean(gradients, axis=0), rel=1e-4)


def test_gradient_importance_is_the_mean_absolute_gradient_of_the_weights() -> None:
    run = fit_here(moons_project())
    graph = ChannelGraph(analyze(run.project, run.data.schema).context, run.model)
    scores = importance(run, "gradient")(graph)
    [width] = [setting for setting in graph.settings if setting.is_width and setting.node == "linear_1"]
    estimated = np.array([scores[root] for root in graph.roots(width.numbers).tolist()])
    from netloom.training.trainers.registry import build_trainer

    loader = build_trainer(run.project, run.source, run.data).loader  # type: ignore[attr-defined]
    weight, shares = run.model.get_parameter("linear_1.weight"), []
    for inputs, targets, _ in loader.epoch(0, start=0):
        [gradient] = torch.autograd.grad(nn.functional.cross_entropy(run.scorer(*inputs), targets), weight)
        sums = gradient.abs().sum(1).numpy()
        shares.append(sums / sums.mean())
    assert estimated == pytest.approx(np.mean(shares, axis=0), rel=1e-3)


SPECS = {"image": TensorSpec((None, 6, 4, 4)), "pair": TensorSpec((None, 6))}


class Pair(nn.Module):
    """Two inputs: the sum of an image and a value for each of its channels."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b[:, :, None, None]


@pytest.mark.parametrize(
    ("layer", "axis", "channels"),
    [
        (nn.Flatten(), 1, np.repeat(np.arange(6), 16)),
        (nn.MaxPool2d(2), 1, np.arange(6)),
        (nn.Softmax(2), 1, np.arange(6)),
        (nn.ZeroPad2d(1), 1, np.arange(6)),
        (nn.ChannelShuffle(2), 1, np.array([0, 3, 1, 4, 2, 5])),
    ],
)
def test_probe_finds_the_channels_that_a_layer_passes_on(layer: nn.Module, axis: int, channels: np.ndarray) -> None:
    [passed] = passed_channels(layer, {"in": SPECS["image"]}, "in", 1) or [None]
    assert passed is not None
    assert passed.axis == axis
    assert passed.channels.tolist() == channels.tolist()


@pytest.mark.parametrize("layer", [nn.Softmax(1), nn.LocalResponseNorm(3), nn.AvgPool3d(2), nn.Flatten(0)])
def test_probe_finds_layers_that_mix_channels(layer: nn.Module) -> None:
    assert passed_channels(layer, {"in": SPECS["image"]}, "in", 1) is None


def test_probe_follows_each_input_by_itself() -> None:
    specs: Mapping[str, TensorSpec] = {"a": SPECS["image"], "b": SPECS["pair"]}
    for port in specs:
        [passed] = passed_channels(Pair(), specs, port, 1) or [None]
        assert passed is not None
        assert (passed.axis, passed.channels.tolist()) == (1, list(range(6)))


def test_narrow_document_compiles_to_smaller_modules() -> None:
    run = untrained(residual_network())
    narrow = pruned(run, 0.75)
    fresh = module(narrow.project)
    assert {name: value.shape for name, value in fresh.state_dict().items()} == {
        name: value.shape for name, value in narrow.state.items()
    }
    assert sum(value.numel() for value in narrow.state.values()) < 0.4 * sum(
        value.numel() for value in run.model.state_dict().values()
    )
