"""Nested networks: sizes, ports, repetition, weight sharing and errors."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.document import Network, Project, apply
from netloom.validation import analyze, validate
from tests.networks import network, networks

VECTOR = ("Input", {"kind": "vector", "shape": [8]})
OUT: tuple[str, dict[str, Any]] = ("Output", {})


def subnetwork(name: str, **params: Any) -> tuple[str, dict[str, Any]]:
    return "Subnetwork", {"network": name, **params}


def block() -> Network:
    """8 -> 4 · width -> width."""
    return network(
        {
            "input_1": VECTOR,
            "wide": ("Linear", {"units": "width * 4"}),
            "act": ("ReLU", {}),
            "narrow": ("Linear", {"units": "size(-1) // 4"}),
            "output_1": OUT,
        },
        width=8,
    )


def main_with_block(**params: Any) -> Project:
    """A main network whose only node is the block."""
    main = network({"input_1": VECTOR, "block_1": subnetwork("block", **params), "output_1": OUT})
    return networks(main=main, block=block())


def error_codes(project: Project) -> list[str]:
    return [issue.code for issue in validate(project) if issue.severity == "error"]


def block_parameters(width: int) -> int:
    return 8 * 4 * width + 4 * width + 4 * width * width + width


@pytest.mark.parametrize("width", [2, 8])
def test_values_reach_inner_nodes(width: int) -> None:
    analysis = analyze(main_with_block(values={"width": width}))
    assert not analysis.errors
    assert str(analysis.nodes["block_1"].outputs["out"]) == f"(N, {width})"
    assert analysis.totals.parameters == block_parameters(width)
    assert analysis.networks["block"].nodes["wide"].parameters == 8 * 4 * width + 4 * width


def test_values_can_be_expressions_of_outer_parameters() -> None:
    outer = network(
        {"input_1": VECTOR, "block_1": subnetwork("block", values={"width": "d // 2"}), "output_1": OUT}, d=6
    )
    main = network({"input_1": VECTOR, "outer_1": subnetwork("outer", values={"d": 10}), "output_1": OUT})
    assert analyze(networks(main=main, outer=outer, block=block())).totals.parameters == block_parameters(5)


@pytest.mark.parametrize(("shared", "copies"), [(False, 5), (True, 1)])
def test_repetition_multiplies_parameters_and_flops(shared: bool, copies: int) -> None:
    once, repeated = analyze(main_with_block()), analyze(main_with_block(repeat=5, shared=shared))
    assert repeated.totals.parameters == copies * block_parameters(8)
    assert repeated.totals.flops == 5 * once.totals.flops
    assert repeated.totals.layers == 5 * 3


def test_repeated_network_must_keep_its_input_shape() -> None:
    issue = next(
        issue for issue in validate(main_with_block(repeat=2, values={"width": 3})) if issue.severity == "error"
    )
    assert issue.code == "repeat"
    assert "(N, 3)" in issue.message


def test_frozen_networks_have_no_trainable_parameters() -> None:
    totals = analyze(apply(main_with_block(), {"kind": "update", "node": "block_1", "frozen": True})).totals
    assert (totals.parameters, totals.trainable) == (block_parameters(8), 0)
    inside = apply(main_with_block(repeat=3), {"kind": "update", "network": "block", "node": "wide", "frozen": True})
    totals = analyze(inside).totals
    assert totals.parameters - totals.trainable == 3 * (8 * 32 + 32)


def test_subnetwork_ports_are_named_after_inputs_and_outputs() -> None:
    two = network(
        {
            "input_1": VECTOR,
            "input_2": VECTOR,
            "add_1": ("Add", {}),
            "linear_1": ("Linear", {"units": 8}),
            "output_1": OUT,
            "output_2": ("Output", {"name": "second"}),
        },
        [
            ("input_1", "add_1.a"),
            ("input_2", "add_1.b"),
            ("add_1", "output_1"),
            ("add_1", "linear_1"),
            ("linear_1", "output_2"),
        ],
    )
    main = network(
        {"input_1": VECTOR, "two_1": subnetwork("two"), "add_2": ("Add", {}), "output_1": OUT},
        [
            ("input_1", "two_1"),
            ("input_1", "two_1.input_2"),
            ("two_1", "add_2.a"),
            ("two_1.output_2", "add_2.b"),
            ("add_2", "output_1"),
        ],
    )
    project = networks(main=main, two=two)
    assert not error_codes(project)
    unconnected = apply(project, {"kind": "remove", "nodes": [], "edges": ["two_1.input_2"]})
    assert "missing_input" in error_codes(unconnected)
    without_output = apply(project, {"kind": "remove", "network": "two", "nodes": ["output_2"]})
    assert "unknown_port" in error_codes(without_output)


def test_recursive_network_is_refused_with_its_path() -> None:
    one = network({"input_1": VECTOR, "other_1": subnetwork("other"), "output_1": OUT})
    other = network({"input_1": VECTOR, "one_1": subnetwork("one"), "output_1": OUT})
    main = network({"input_1": VECTOR, "one_1": subnetwork("one"), "output_1": OUT})
    issues = [issue for issue in validate(networks(main=main, one=one, other=other)) if issue.code == "network_cycle"]
    assert {issue.network for issue in issues} == {"one", "other"}
    assert any("one → other → one" in issue.message for issue in issues)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"network": "nothing"}, "unknown_network"),
        ({"network": ""}, "unknown_network"),
        ({"network": "block", "values": {"depth": 3}}, "unknown_value"),
        ({"network": "block", "values": {"width": "oops("}}, "parameter"),
        ({"network": "block", "values": {"width": 0}}, "parameter"),
        ({"network": "block", "values": {"width": 0.3}}, "parameter"),
    ],
)
def test_invalid_subnetwork_parameters_raise_issues(params: dict[str, Any], code: str) -> None:
    project = networks(
        main=network({"input_1": VECTOR, "block_1": ("Subnetwork", params), "output_1": OUT}), block=block()
    )
    assert code in error_codes(project)


def test_inner_errors_are_reported_inside_and_at_the_use() -> None:
    project = apply(main_with_block(), {"kind": "remove", "network": "block", "nodes": [], "edges": ["narrow"]})
    errors = {(issue.network, issue.code) for issue in validate(project) if issue.severity == "error"}
    assert ("block", "missing_input") in errors
    assert ("main", "inside") in errors


def test_unused_network_raises_only_warnings() -> None:
    broken = apply(main_with_block(), {"kind": "remove", "network": "block", "nodes": [], "edges": ["narrow"]})
    main = network({"input_1": VECTOR, "linear_1": ("Linear", {}), "output_1": OUT})
    unused = broken.with_network("main", main)
    assert not error_codes(unused)
    assert "missing_input" in {issue.code for issue in validate(unused)}
    assert "block" in analyze(unused).networks


def test_exponentially_many_network_variants_are_refused() -> None:
    inner_networks = {"main": network({"input_1": VECTOR, "first": subnetwork("n_0"), "output_1": OUT})}
    for level in range(12):
        one, two = (subnetwork(f"n_{level + 1}", values={"w": f"w * 2 + {offset}"}) for offset in (0, 1))
        inner_networks[f"n_{level}"] = network({"input_1": VECTOR, "one": one, "two": two, "output_1": OUT}, w=1)
    inner_networks["n_12"] = network({"input_1": VECTOR, "linear_1": ("Linear", {"units": 8}), "output_1": OUT}, w=1)
    assert any("different shapes and values" in issue.message for issue in validate(networks(**inner_networks)))


def test_shared_weights_count_once() -> None:
    main = network(
        {
            "input_1": ("Input", {"kind": "tokens", "shape": [6], "vocabulary": 50}),
            "embedding_1": ("Embedding", {"vocabulary": 50, "dim": 16}),
            "linear_1": ("Linear", {"units": 50, "bias": False}),
            "output_1": OUT,
        }
    )
    project = networks(main=main)
    assert analyze(project).totals.parameters == 2 * 800
    tied = apply(project, {"kind": "update", "node": "linear_1", "shares": "embedding_1"})
    assert not error_codes(tied)
    assert analyze(tied).totals.parameters == 800
    for wrong in ("nothing_1", "linear_1", "input_1"):
        assert "sharing" in error_codes(apply(project, {"kind": "update", "node": "linear_1", "shares": wrong}))


def test_fix_removes_an_invalid_weight_share() -> None:
    project = apply(main_with_block(), {"kind": "update", "node": "block_1", "shares": "input_1"})
    issue = next(issue for issue in validate(project) if issue.code == "sharing")
    assert issue.fix is not None
    assert not error_codes(apply(project, issue.fix.edit))
