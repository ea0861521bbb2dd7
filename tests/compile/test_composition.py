"""Grouping a selection into a subnetwork and ungrouping it change the drawing but not the computation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from netloom.compile import module, source
from netloom.document import Edge, EditError, Network, Node, Project, apply
from netloom.layers.catalogue import numeric
from netloom.validation import analyze, validate, with_shapes
from tests.compile.published import OUT, gpt2, resnet18
from tests.loops import leaky_cell, looped
from tests.networks import network, networks, project

SEQUENCE: tuple[str, dict[str, Any]] = ("Input", {"kind": "sequence", "shape": [5, 6]})
VECTOR: tuple[str, dict[str, Any]] = ("Input", {"kind": "vector", "shape": [6]})


def two_branches() -> Project:
    """Two branches that merge; the input feeds both."""
    return project(
        {
            "input_1": VECTOR,
            "linear_1": ("Linear", {"units": 6}),
            "relu_1": ("ReLU", {}),
            "linear_2": ("Linear", {"units": 6}),
            "add_1": ("Add", {}),
            "linear_3": ("Linear", {"units": 2}),
            "output_1": OUT,
        },
        [
            ("input_1", "linear_1"),
            ("linear_1", "relu_1"),
            ("relu_1", "linear_2"),
            ("linear_2", "add_1.a"),
            ("input_1", "add_1.b"),
            ("add_1", "linear_3"),
            ("linear_3", "output_1"),
        ],
    )


def run_with_named_weights(document: Project, inputs: torch.Tensor) -> torch.Tensor:
    """Compute the output with weights that depend only on layer names, wherever the layers are."""
    built = module(document).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            generator = torch.Generator().manual_seed(sum(map(ord, ".".join(name.split(".")[-2:]))))
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        answer: torch.Tensor = built(inputs)
    return answer


def errors(document: Project) -> list[str]:
    return [issue.message for issue in validate(document) if issue.severity == "error"]


@pytest.mark.parametrize(
    "chosen",
    [
        ["linear_1", "relu_1"],
        ["linear_1", "relu_1", "linear_2", "add_1"],
        ["relu_1"],
        ["linear_1", "relu_1", "linear_2", "add_1", "linear_3"],
        ["add_1", "linear_2"],
        ["input_1", "linear_1", "relu_1", "linear_2", "add_1", "linear_3", "output_1"],
    ],
)
def test_grouping_and_ungrouping_keep_outputs(chosen: list[str]) -> None:
    document = two_branches()
    x = torch.randn(5, 6)
    expected = run_with_named_weights(document, x)
    grouped = apply(document, {"kind": "group", "nodes": chosen, "name": "block"})
    assert not errors(grouped)
    assert grouped.uses("main") == ["block"]
    assert analyze(grouped).totals.parameters == analyze(document).totals.parameters
    torch.testing.assert_close(run_with_named_weights(grouped, x), expected)
    ungrouped = apply(grouped, {"kind": "unpack", "node": "block_1"})
    assert not errors(ungrouped)
    assert set(ungrouped.main_network.nodes) == set(document.main_network.nodes)
    assert set(ungrouped.main_network.edges) == set(document.main_network.edges)
    assert ungrouped.main_network.nodes["linear_2"].params == document.main_network.nodes["linear_2"].params
    torch.testing.assert_close(run_with_named_weights(ungrouped, x), expected)


def test_network_parameters_survive_grouping_and_ungrouping() -> None:
    outer = network({"input_1": VECTOR, "linear_1": ("Linear", {"units": "width * 2"}), "output_1": OUT}, width=4)
    main = network(
        {"input_1": VECTOR, "outer_1": ("Subnetwork", {"network": "outer", "values": {"width": 5}}), "output_1": OUT}
    )
    document = networks(main=main, outer=outer)
    grouped = apply(document, {"kind": "group", "network": "outer", "nodes": ["linear_1"], "name": "deep"})
    assert not errors(grouped)
    assert grouped.networks["deep"].parameters == {"width": 4}
    assert str(analyze(grouped).context.output_spec("output_1")) == "(N, 10)"
    flat = apply(
        apply(grouped, {"kind": "unpack", "network": "outer", "node": "deep_1"}),
        {"kind": "unpack", "node": "outer_1"},
    )
    assert not errors(flat)
    assert str(analyze(flat).context.output_spec("output_1")) == "(N, 10)"
    assert flat.networks["outer"].nodes["linear_1"].params == {"units": "width * 2"}


@pytest.mark.parametrize(
    ("document", "node"), [(resnet18(), "stage_1"), (resnet18(), "down_3"), (gpt2(32, 3, 2, 50, 8), "blocks")]
)
def test_ungrouping_keeps_parameters_flops_and_layers(document: Project, node: str) -> None:
    before = analyze(document).totals
    after = analyze(apply(document, {"kind": "unpack", "node": node})).totals
    assert (after.parameters, after.flops, after.layers) == (before.parameters, before.flops, before.layers)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        ({"kind": "group", "nodes": ["linear_1", "add_1"], "name": "block"}, "leaves these layers and returns"),
        ({"kind": "group", "nodes": [], "name": "block"}, "Select at least one layer"),
        ({"kind": "group", "nodes": ["input_1"], "name": "block"}, "Select at least one layer"),
        ({"kind": "group", "nodes": ["linear_1"], "name": "main"}, "already a network main"),
        ({"kind": "group", "nodes": ["linear_1"], "name": "Not A Name"}, "lowercase"),
        ({"kind": "group", "nodes": ["linear_1"], "name": "os.system('x')"}, "lowercase"),
        ({"kind": "group", "network": "nothing", "nodes": ["linear_1"], "name": "block"}, "no network"),
        ({"kind": "unpack", "node": "linear_1"}, "Select a subnetwork"),
        ({"kind": "unpack", "node": "nothing"}, "Select a subnetwork"),
        ({"kind": "create_network", "name": "main"}, "already"),
        ({"kind": "delete_network", "name": "main"}, "main network cannot be removed"),
        ({"kind": "delete_network", "name": "x"}, "no network"),
        ({"kind": "rename_network", "name": "main", "to": "for"}, "for_1"),
        ({"kind": "parameters", "network": "main", "values": {"a b": 1}}, "lowercase"),
        ({"kind": "parameters", "network": "main", "values": {"a": "text"}}, "parameters"),
        ({"kind": "group"}, "incomplete"),
    ],
)
def test_invalid_edits_raise_edit_errors(edit: dict[str, Any], reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        apply(two_branches(), edit)


def test_networks_are_created_renamed_and_deleted() -> None:
    document = apply(two_branches(), {"kind": "create_network", "name": "spare"})
    assert set(apply(document, {"kind": "delete_network", "name": "spare"}).networks) == {"main"}
    used = apply(two_branches(), {"kind": "group", "nodes": ["relu_1"], "name": "block"})
    with pytest.raises(EditError, match="is used in main"):
        apply(used, {"kind": "delete_network", "name": "block"})
    renamed = apply(used, {"kind": "rename_network", "name": "block", "to": "gate"})
    assert renamed.main_network.nodes["block_1"].params["network"] == "gate"
    assert not errors(renamed)
    first = apply(renamed, {"kind": "rename_network", "name": "main", "to": "classifier"})
    assert first.main == "classifier"
    assert not errors(first)


def test_grouping_does_not_split_shared_weights() -> None:
    document = apply(two_branches(), {"kind": "update", "node": "linear_2", "shares": "linear_1"})
    with pytest.raises(EditError, match="shares the weights"):
        apply(document, {"kind": "group", "nodes": ["linear_2"], "name": "block"})
    grouped = apply(document, {"kind": "group", "nodes": ["linear_1", "relu_1", "linear_2"], "name": "block"})
    assert not errors(grouped)
    assert analyze(grouped).totals.parameters == analyze(document).totals.parameters


def test_group_input_has_the_incoming_shape() -> None:
    document = two_branches()
    edit = with_shapes({"kind": "group", "nodes": ["linear_3"], "name": "head"}, analyze(document))
    grouped = apply(document, edit)
    assert grouped.networks["head"].nodes["input_1"].params == {"kind": "vector", "shape": [6]}
    assert with_shapes({"kind": "undo"}, analyze(document)) == {"kind": "undo"}


def test_text_equal_to_a_parameter_name_is_not_substituted() -> None:
    inner = network(
        {"input_1": ("Input", {"field": "width", "kind": "vector", "shape": [6]}),
         "learned_1": ("Learned", {"shape": ["width"], "start": "ones"}),
         "resize_1": ("Upsample", {"mode": "linear", "scale": 2.0}),
         "output_1": OUT},
        linear=3, width=6, ones=4,
    )  # fmt: skip
    main = network({"input_1": VECTOR, "inner_1": ("Subnetwork", {"network": "inner"}), "output_1": OUT})
    edit = {"kind": "unpack", "node": "inner_1", "numbers": numeric(["Learned", "Upsample"])}
    flat = apply(networks(main=main, inner=inner), edit).main_network
    assert flat.nodes["learned_1"].params == {"shape": [6], "start": "ones"}
    assert flat.nodes["resize_1"].params["mode"] == "linear"
    grouping = {"kind": "group", "network": "inner", "nodes": ["learned_1", "resize_1"], "name": "deep"}
    grouped = apply(networks(main=main, inner=inner), grouping | {"numbers": numeric(["Learned", "Upsample"])})
    assert grouped.networks["deep"].parameters == {"width": 6}


def batch_norm_network(**node: Any) -> Project:
    """A batch norm and a dropout between two linear layers."""
    nodes = {
        "input_1": Node(id="input_1", type="Input", params=VECTOR[1]),
        "linear_1": Node(id="linear_1", type="Linear", params={"units": 4}),
        "norm_1": Node(id="norm_1", type="BatchNorm1d", **node),
        "drop_1": Node(id="drop_1", type="Dropout", params={"rate": 0.5}, **node),
        "linear_2": Node(id="linear_2", type="Linear", params={"units": 2}),
        "output_1": Node(id="output_1", type="Output"),
    }
    edges = tuple(Edge(source=source_node, target=target_node) for source_node, target_node in pairwise(nodes))
    return networks(main=Network(nodes=nodes, edges=edges))


@pytest.mark.parametrize("group_repeats", [False, True])
def test_frozen_batch_norm_keeps_its_statistics(group_repeats: bool) -> None:
    document = batch_norm_network(frozen=not group_repeats)
    if group_repeats:
        document = apply(document, {"kind": "group", "nodes": ["norm_1", "drop_1"], "name": "block"})
        document = apply(document, {"kind": "update", "node": "block_1", "frozen": True})
    model: Any = module(document).train()
    norm = model.block_1.norm_1 if group_repeats else model.norm_1
    with torch.no_grad():
        norm.running_mean.fill_(0.5)
        norm.running_var.fill_(2.0)
    x = torch.randn(16, 6)
    normalized = norm(model.linear_1(x))
    model(x)
    assert torch.equal(norm.running_mean, torch.full((4,), 0.5))
    expected = (model.linear_1(x) - 0.5) / (2.0 + norm.eps) ** 0.5 * norm.weight + norm.bias
    torch.testing.assert_close(normalized, expected)
    assert (model.block_1.drop_1 if group_repeats else model.drop_1).training
    assert "keep_statistics" in source(document)
    assert "keep_statistics" not in source(batch_norm_network())


def test_tied_batch_norms_keep_separate_statistics() -> None:
    document = batch_norm_network()
    main = document.main_network
    twin = main.nodes["norm_1"].model_copy(update={"id": "norm_2", "shares": "norm_1"})
    edges = [edge for edge in main.edges if edge.target_node != "drop_1"]
    edges += [Edge(source="norm_1", target="norm_2"), Edge(source="norm_2", target="drop_1")]
    shared = main.model_copy(update={"nodes": {**main.nodes, "norm_2": twin}, "edges": tuple(edges)})
    model: Any = module(document.with_network("main", shared)).train()
    model(torch.randn(16, 6) * 3 + 1)
    assert model.norm_2.weight is model.norm_1.weight
    assert not torch.equal(model.norm_2.running_mean, model.norm_1.running_mean)


def test_shared_repetition_sums_auxiliary_losses() -> None:
    inner = network({"input_1": SEQUENCE, "experts_1": ("MixtureOfExperts", {"experts": 3}), "output_1": OUT})
    shared = {"network": "inner", "repeat": 3, "shared": True}
    main = network({"input_1": SEQUENCE, "inner_1": ("Subnetwork", shared), "output_1": OUT})
    torch.manual_seed(0)
    model: Any = module(networks(main=main, inner=inner)).train()
    x = torch.randn(4, 5, 6)
    model(x)
    (experts,) = model.inner_1[0].children()
    total_loss, single_losses = experts.auxiliary_loss, []
    for _ in range(3):
        x = experts(x)
        single_losses.append(experts.auxiliary_loss)
    torch.testing.assert_close(total_loss, sum(single_losses))


def test_ungrouping_a_network_along_an_axis_is_refused() -> None:
    document = looped(leaky_cell())
    with pytest.raises(EditError, match="cell_1 is applied once for each step along an axis"):
        apply(document, {"kind": "unpack", "node": "cell_1"})
