"""Networks within networks: sizes, ports, repetition, sharing, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.document import Network, Project, apply
from netloom.validation import analyse, validate
from tests.networks import network, networks

VECTOR = ("Input", {"kind": "vector", "shape": [8]})
OUT: tuple[str, dict[str, Any]] = ("Output", {})


def sub(name: str, **params: Any) -> tuple[str, dict[str, Any]]:
    return "Subnetwork", {"network": name, **params}


def block() -> Network:
    """8 -> 4 width -> width."""
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


def within(**params: Any) -> Project:
    """A network of one node that stands for the block."""
    main = network({"input_1": VECTOR, "block_1": sub("block", **params), "output_1": OUT})
    return networks(main=main, block=block())


def codes(project: Project) -> list[str]:
    return [issue.code for issue in validate(project) if issue.severity == "error"]


def parameters(width: int) -> int:
    return 8 * 4 * width + 4 * width + 4 * width * width + width


@pytest.mark.parametrize("width", [2, 8])
def test_values_reach_the_inner_nodes(width: int) -> None:
    analysis = analyse(within(values={"width": width}))
    assert not analysis.errors
    assert str(analysis.nodes["block_1"].outputs["out"]) == f"(N, {width})"
    assert analysis.totals.parameters == parameters(width)
    assert analysis.networks["block"].nodes["wide"].parameters == 8 * 4 * width + 4 * width


def test_values_may_be_expressions_over_the_parameters_around() -> None:
    outer = network({"input_1": VECTOR, "block_1": sub("block", values={"width": "d // 2"}), "output_1": OUT}, d=6)
    main = network({"input_1": VECTOR, "outer_1": sub("outer", values={"d": 10}), "output_1": OUT})
    assert analyse(networks(main=main, outer=outer, block=block())).totals.parameters == parameters(5)


@pytest.mark.parametrize(("shared", "copies"), [(False, 5), (True, 1)])
def test_repetition_counts_weights_and_work(shared: bool, copies: int) -> None:
    once, often = analyse(within()), analyse(within(repeat=5, shared=shared))
    assert often.totals.parameters == copies * parameters(8)
    assert often.totals.flops == 5 * once.totals.flops
    assert often.totals.layers == 5 * 3


def test_a_repeated_network_gives_what_it_takes() -> None:
    issue = next(issue for issue in validate(within(repeat=2, values={"width": 3})) if issue.severity == "error")
    assert issue.code == "repeat"
    assert "(N, 3)" in issue.message


def test_frozen_networks_are_not_trained() -> None:
    totals = analyse(apply(within(), {"kind": "update", "node": "block_1", "frozen": True})).totals
    assert (totals.parameters, totals.trainable) == (parameters(8), 0)
    inside = apply(within(repeat=3), {"kind": "update", "network": "block", "node": "wide", "frozen": True})
    totals = analyse(inside).totals
    assert totals.parameters - totals.trainable == 3 * (8 * 32 + 32)


def test_ports_are_named_by_inputs_and_outputs() -> None:
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
        {"input_1": VECTOR, "two_1": sub("two"), "add_2": ("Add", {}), "output_1": OUT},
        [
            ("input_1", "two_1"),
            ("input_1", "two_1.input_2"),
            ("two_1", "add_2.a"),
            ("two_1.output_2", "add_2.b"),
            ("add_2", "output_1"),
        ],
    )
    project = networks(main=main, two=two)
    assert not codes(project)
    loose = apply(project, {"kind": "remove", "nodes": [], "edges": ["two_1.input_2"]})
    assert "missing_input" in codes(loose)
    gone = apply(project, {"kind": "remove", "network": "two", "nodes": ["output_2"]})
    assert "unknown_port" in codes(gone)


def test_a_network_that_stands_in_itself_is_refused_with_the_path() -> None:
    one = network({"input_1": VECTOR, "other_1": sub("other"), "output_1": OUT})
    other = network({"input_1": VECTOR, "one_1": sub("one"), "output_1": OUT})
    main = network({"input_1": VECTOR, "one_1": sub("one"), "output_1": OUT})
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
def test_what_cannot_stand_there_is_said(params: dict[str, Any], code: str) -> None:
    project = networks(
        main=network({"input_1": VECTOR, "block_1": ("Subnetwork", params), "output_1": OUT}), block=block()
    )
    assert code in codes(project)


def test_errors_inside_are_named_where_they_are_and_where_it_is_used() -> None:
    project = apply(within(), {"kind": "remove", "network": "block", "nodes": [], "edges": ["narrow"]})
    found = {(issue.network, issue.code) for issue in validate(project) if issue.severity == "error"}
    assert ("block", "missing_input") in found
    assert ("main", "inside") in found


def test_networks_that_are_not_used_only_warn() -> None:
    broken = apply(within(), {"kind": "remove", "network": "block", "nodes": [], "edges": ["narrow"]})
    main = network({"input_1": VECTOR, "linear_1": ("Linear", {}), "output_1": OUT})
    apart = broken.with_network("main", main)
    assert not codes(apart)
    assert "missing_input" in {issue.code for issue in validate(apart)}
    assert "block" in analyse(apart).networks


def test_a_project_of_endlessly_many_uses_is_refused_and_not_tried() -> None:
    made = {"main": network({"input_1": VECTOR, "first": sub("n_0"), "output_1": OUT})}
    for level in range(12):
        one, two = (sub(f"n_{level + 1}", values={"w": f"w * 2 + {more}"}) for more in (0, 1))
        made[f"n_{level}"] = network({"input_1": VECTOR, "one": one, "two": two, "output_1": OUT}, w=1)
    made["n_12"] = network({"input_1": VECTOR, "linear_1": ("Linear", {"units": 8}), "output_1": OUT}, w=1)
    assert any("different shapes and values" in issue.message for issue in validate(networks(**made)))


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
    assert analyse(project).totals.parameters == 2 * 800
    tied = apply(project, {"kind": "update", "node": "linear_1", "shares": "embedding_1"})
    assert not codes(tied)
    assert analyse(tied).totals.parameters == 800
    for wrong in ("nothing_1", "linear_1", "input_1"):
        assert "sharing" in codes(apply(project, {"kind": "update", "node": "linear_1", "shares": wrong}))


def test_a_share_ends_with_one_click() -> None:
    project = apply(within(), {"kind": "update", "node": "block_1", "shares": "input_1"})
    issue = next(issue for issue in validate(project) if issue.code == "sharing")
    assert issue.fix is not None
    assert not codes(apply(project, issue.fix.edit))
