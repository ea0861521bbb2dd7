"""Networks that are applied once for each step along an axis: shapes, costs, ports and errors."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.document import Project, apply
from netloom.validation import Issue, analyze, validate
from netloom.validation.document_schema import document_schema
from tests.loops import FEATURES, HIDDEN, OUT, leaky_cell, looped, sequence, vector
from tests.networks import network, networks


def error(project: Project) -> Issue:
    """The only error of a project."""
    (issue,) = (issue for issue in validate(project) if issue.severity == "error")
    return issue


def test_results_are_stacked_and_costs_are_multiplied() -> None:
    short, long = (analyze(looped(leaky_cell(), sequence(steps))) for steps in (1, 30))
    assert not long.errors
    outputs = {port: str(spec) for port, spec in long.nodes["cell_1"].outputs.items()}
    assert outputs == {"out": f"(N, 30, {HIDDEN})", "final_hidden": f"(N, {HIDDEN})"}
    assert long.totals.parameters == short.totals.parameters == HIDDEN * (FEATURES + HIDDEN + 2)
    assert long.nodes["cell_1"].flops == 30 * short.nodes["cell_1"].flops
    assert long.totals.layers == short.totals.layers == 4
    assert long.totals.calls == 30 * 4


def test_learned_state_adds_its_parameters() -> None:
    zeros, learned = (analyze(looped(leaky_cell(), initial={"hidden": kind})) for kind in ("zeros", "learned"))
    assert learned.totals.parameters == zeros.totals.parameters + HIDDEN
    assert learned.totals.trainable == zeros.totals.trainable + HIDDEN


def test_state_of_another_shape_than_its_next_value_is_refused_with_a_fix() -> None:
    project = looped(leaky_cell(state=7))
    issue = error(project)
    assert issue.code == "along_axis"
    assert "the state hidden has the shape (N, 7)" in issue.message
    assert f"its next value, the output following, has the shape (N, {HIDDEN})" in issue.message
    assert issue.fix is not None
    assert not analyze(apply(project, issue.fix.edit)).errors


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"axis": 3}, "has no axis 3"),
    ({"states": {"in": "out", "hidden": "out"}}, "none has steps"),
    (
        {"states": {"memory": "out"}},
        "'memory' is set as a state, but its network has no such input; its inputs are",
    ),
    ({"states": {"hidden": "new"}}, "no output 'new' for the next value of the state hidden; its outputs are out"),
    ({"constant": ["hidden"]}, "hidden is set both as a state and as constant"),
    ({"constant": ["other"]}, "'other' is set as constant, but its network has no such input"),
    ({"initial": {"in": "zeros"}}, "'in' has an initial value, but is not a state"),
]


@pytest.mark.parametrize(("params", "words"), WRONG)
def test_settings_that_do_not_fit_the_network_are_refused(params: dict[str, Any], words: str) -> None:
    project = looped(leaky_cell(), **params)
    (issue,) = (issue for issue in validate(project) if issue.code == "along_axis")
    assert words in issue.message
    if issue.fix is not None:
        codes = [issue.code for issue in validate(apply(project, issue.fix.edit))]
        assert "along_axis" not in codes


def test_repetition_in_depth_is_refused() -> None:
    messages = [issue.message for issue in validate(looped(leaky_cell(), repeat=2))]
    assert any("repeat must be 1 along an axis; for several recurrent layers" in message for message in messages)


def test_inputs_with_different_numbers_of_steps_are_refused() -> None:
    cell = network({"a": vector(2), "b": vector(2), "sum": ("Add", {}), "y": OUT},
                   [("a", "sum.a"), ("b", "sum.b"), ("sum", "y")])  # fmt: skip
    settings = ("Subnetwork", {"network": "cell", "along": "axis"})
    nodes = {"x": sequence(3, 2), "z": sequence(4, 2), "cell_1": settings, "y": OUT}
    main = network(nodes, [("x", "cell_1"), ("z", "cell_1.b"), ("cell_1", "y")])
    assert "the input in has 3 and the input b has 4" in error(networks(main=main, cell=cell)).message


def test_too_many_steps_are_refused() -> None:
    issue = error(looped(leaky_cell(), sequence(30_000)))
    assert issue.code == "layers"
    assert "120,000" in issue.message


def test_states_follow_inputs_that_change_places() -> None:
    project = looped(leaky_cell(), initial={"hidden": "learned"})
    swapped = apply(project, {"kind": "order", "network": "cell", "inputs": ["hidden", "x"]})
    params = swapped.main_network.nodes["cell_1"].params
    assert (params["states"], params["initial"]) == ({"in": "out"}, {"in": "learned"})
    edges = {edge.target: edge.source for edge in swapped.main_network.edges}
    assert edges == {"cell_1.x": "input_1", "all": "cell_1", "last": "cell_1.final_in"}
    assert not analyze(swapped).errors
    assert apply(swapped, {"kind": "order", "network": "cell", "inputs": ["x", "hidden"]}) == project


def test_softmax_of_a_step_lies_along_the_axis_after_the_steps() -> None:
    """A tagger whose cell ends in a softmax: its classes are along axis 2 of the results (N, T, classes)."""
    from netloom.validation.context_cache import ContextCache
    from netloom.validation.output_scales import ProbabilityTracer

    cell = network({"x": vector(FEATURES), "softmax": ("Softmax", {}), "y": OUT})
    settings = ("Subnetwork", {"network": "cell", "along": "axis"})
    main = network({"input_1": sequence(), "cell_1": settings, "y": OUT})
    context = ContextCache(networks(main=main, cell=cell), None).use("main")
    assert context is not None
    traced = ProbabilityTracer(context).trace(context.incoming["y"]["in"])
    assert traced is not None
    assert (traced.probabilities.family, traced.probabilities.axis) == ("softmax", 2)
    assert not traced.probabilities.removable


def test_schema_describes_the_settings() -> None:
    schema: Any = document_schema()
    properties = schema["$defs"]["layer.Subnetwork"]["properties"]
    assert properties["along"]["enum"] == ["depth", "axis"]
    assert properties["initial"]["additionalProperties"]["enum"] == ["zeros", "input", "learned"]
    assert properties["axis"]["anyOf"][0]["maximum"] == 8
