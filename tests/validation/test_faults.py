"""Internal errors during an analysis become issues and do not affect the rest of the analysis."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

import netloom.validation.analysis as analysis_module
import netloom.validation.context as context_module
import netloom.validation.context_cache as cache_module
import netloom.validation.network_measurement as measurement_module
from netloom.compile import CompileError, source
from netloom.document import DocumentError, EditError, Network, Project, apply, dumps, loads, parse
from netloom.layers import registry
from netloom.validation import Analysis, Issue, analyze
from netloom.validation.context import Context
from netloom.validation.context_cache import ContextCache
from netloom.validation.facts import MOST
from netloom.validation.measure import measure
from netloom.validation.network_measurement import MAX_DEPTH, measure_network
from netloom.validation.rule import Rule, rules, rules_of_every_network
from tests.networks import TABLE, chain, digits_mlp, network, networks, project

DOCUMENT = digits_mlp()
FAILURES = (KeyError("boom"), AssertionError("boom"), ZeroDivisionError("boom"), RecursionError("boom"), MemoryError())


def raise_key_error(*_: object, **__: object) -> Any:
    raise KeyError("boom")


def internal_issues(analysis: Analysis) -> list[Issue]:
    return [issue for issue in analysis.issues if issue.code == "internal"]


def rule_issues(rule: Rule, document: Project) -> list[Issue]:
    context = analyze(document).context
    return list(rule.check(context, context.totals))


def output_shapes(analysis: Analysis) -> dict[str, dict[str, str]]:
    return {
        name: {key: str(facts.outputs) for key, facts in context.nodes.items()}
        for name, context in analysis.networks.items()
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: type(rule).__name__)
def test_failing_rule_raises_one_issue_and_keeps_the_others(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    good = analyze(DOCUMENT)
    wrong = apply(DOCUMENT, {"kind": "set", "node": "linear_1", "params": {"units": -1}})
    expected = {issue.code for issue in analyze(wrong).issues} - {issue.code for issue in rule_issues(rule, wrong)}
    monkeypatch.setattr(type(rule), "check", raise_key_error)
    for document in (DOCUMENT, networks(main=DOCUMENT.main_network, a=Network(), b=Network())):
        analysis = analyze(document)
        assert len(internal_issues(analysis)) == 1
        issue = internal_issues(analysis)[0]
        assert type(rule).__name__ in issue.message
        assert "KeyError: 'boom'" in issue.message
        assert "\n" not in issue.message
        assert "Traceback" in issue.detail
        assert "Traceback" not in str(issue.as_json())
        assert issue.severity == ("error" if rule in rules_of_every_network() else "warning")
        assert output_shapes(analysis)["main"] == output_shapes(good)["main"]
        assert analysis.totals == good.totals
    assert {issue.code for issue in analyze(wrong).issues} == expected | {"internal"}


def test_issues_raised_before_a_rule_fails_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_after_one_issue(_: Rule, context: Context, __: object) -> Any:
        yield context.issue("half", "Found.")
        raise_key_error()

    monkeypatch.setattr(type(rules()[0]), "check", raise_after_one_issue)
    assert {"half", "internal"} <= {issue.code for issue in analyze(DOCUMENT).issues}


@pytest.mark.parametrize("error", [*FAILURES, SystemExit(3)], ids=lambda error: type(error).__name__)
def test_failing_layer_raises_one_issue_at_its_node(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise error

    good = analyze(DOCUMENT)
    monkeypatch.setattr(analysis_module, "measure", measure.__wrapped__)  # without the cache of measurements
    monkeypatch.setattr(registry()["ReLU"], "build", fails)
    first = analyze(DOCUMENT)
    assert [issue.node for issue in internal_issues(first)] == ["relu_1"]
    assert "relu_1" in internal_issues(first)[0].message
    assert "linear_1" in first.nodes
    assert "relu_1" not in first.nodes
    later = analyze(apply(DOCUMENT, {"kind": "move", "at": {"relu_1": [5, 5]}}), before=good)
    for _ in range(2):
        assert [issue.node for issue in later.issues] == ["relu_1"], "nothing else is wrong with it"
        assert output_shapes(later) == output_shapes(good), "what was known last"
        assert later.totals == good.totals
        later = analyze(DOCUMENT, before=later)
    with pytest.raises(CompileError, match="failed to measure"):
        source(DOCUMENT)


PARTS: dict[str, tuple[Any, str]] = {
    "order": (context_module, "topological_order"),
    "reading": (measurement_module, "parse"),
    "interface": (measurement_module, "interface"),
    "measuring": (analysis_module, "measure"),
    "inside": (Context, "output_spec"),
    "facts": (Context, "count_tied_parameters"),
    "totals": (context_module, "bounded"),
    "uses": (ContextCache, "use"),
}


def test_failure_to_find_cycles_becomes_an_issue(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"input_1": TABLE, "relu_1": ("ReLU", {}), "tanh_1": ("Tanh", {})}
    document = networks(main=network(nodes))
    for first, second in (("relu_1", "tanh_1"), ("tanh_1", "relu_1")):
        document = apply(document, {"kind": "connect", "source": first, "target": second})
    assert analyze(document).context.cycle_nodes == {"relu_1", "tanh_1"}
    monkeypatch.setattr(context_module, "cyclic", raise_key_error)
    assert internal_issues(analyze(document))


UNCHANGED: dict[str, set[str]] = {"main": {"input_1"}, "block": set()}


@pytest.mark.parametrize("part", PARTS)
def test_failure_in_each_analysis_step_becomes_an_issue(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = network({"input_1": TABLE, "relu_1": ("ReLU", {}), "output_1": ("Output", {})})
    main = network({"input_1": TABLE, "block_1": ("Subnetwork", {"network": "block"}), "output_1": ("Output", {})})
    document = networks(main=main, block=block)
    good = analyze(document)
    monkeypatch.setattr(*PARTS[part], raise_key_error)
    for before in (None, good):
        analysis = analyze(document, before=before)
        assert internal_issues(analysis)
        assert all("'boom'" in issue.message for issue in internal_issues(analysis))
        assert analysis.networks.keys() == document.networks.keys()
        assert analysis.networks["block"].network.nodes == block.nodes
        if before:
            assert {name: set(outputs) for name, outputs in output_shapes(analysis).items()} == {
                # The block is measured again, and its facts fail; those of unchanged nodes stay.
                name: set(outputs) if part != "facts" else set(outputs) & UNCHANGED[name]
                for name, outputs in output_shapes(good).items()
            }
            assert analysis.totals.layers == good.totals.layers or part in ("facts", "inside")


def test_analyses_do_not_keep_previous_contexts_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """An analysis copies what it lacks from the previous one; keeping a reference would leak memory with every edit."""
    analysis = None
    # Makes each analysis copy the totals of the previous one
    monkeypatch.setattr(context_module, "bounded", raise_key_error)
    for units in range(20, 28):
        edits = [
            {"kind": "project", "name": "Chained"},
            {"kind": "set", "node": "linear_1", "params": {"units": units}},
        ]
        analysis = analyze(apply(DOCUMENT, {"kind": "batch", "edits": edits}), before=analysis)
    gc.collect()
    contexts = [item for item in gc.get_objects() if type(item) is Context and item.project.name == "Chained"]
    assert len(contexts) < 3


def nested_networks(depth: int, params: dict[str, Any], layer: str = "ReLU", used: bool = True) -> Project:
    """Networks nested to the given depth."""
    inner_networks: dict[str, Any] = {}
    for number in range(depth):
        inner = {"network": f"n{number + 1}", **params}
        node = {"type": "Subnetwork", "params": inner} if number < depth - 1 else {"type": layer}
        nodes = {"input_1": {"type": "Input"}, "x_1": node, "output_1": {"type": "Output"}}
        edges = [{"source": "input_1", "target": "x_1"}, {"source": "x_1", "target": "output_1"}]
        inner_networks[f"n{number}"] = {"nodes": nodes, "edges": edges}
    main: dict[str, Any] = {} if used else {"main": {}}
    return parse({"name": "Nested", "networks": {**main, **inner_networks}, "main": "n0" if used else "main"})


@pytest.mark.parametrize(
    ("depth", "layer", "params"),
    [
        (110, "ReLU", {"repeat": 1000}),
        (110, "ReLU", {"repeat": 1000, "shared": True}),
        (110, "BatchNorm1d", {"repeat": 1000}),
        (110, "BatchNorm1d", {"repeat": 1000, "shared": True}),
        (199, "BatchNorm1d", {"repeat": 1000}),
    ],
)
def test_overflowing_repetition_is_capped_and_reported(depth: int, layer: str, params: dict[str, Any]) -> None:
    document = nested_networks(depth, params, layer)
    analysis = analyze(document)
    assert not internal_issues(analysis)
    assert analysis.errors
    totals = analysis.totals
    assert totals.layers == MOST
    assert max(totals.parameters, totals.flops, totals.memory_bytes, totals.activation_bytes) <= MOST
    assert "inf" not in " ".join(issue.message for issue in analysis.issues)
    assert loads(dumps(document)) == document


def test_deep_network_is_analyzed_from_a_deep_call_stack() -> None:
    """A Streamlit page has already used part of the call stack when it starts an analysis."""

    def analyze_at_depth(levels: int) -> Analysis:
        return analyze_at_depth(levels - 1) if levels else analyze(nested_networks(MAX_DEPTH, {}))

    analysis = analyze_at_depth(150)
    assert [issue.message for issue in internal_issues(analysis)] == []
    assert analysis.totals.layers == 1


def test_unused_nested_networks_are_measured_at_most_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = list[str]()

    def record_and_measure(context: Context) -> None:
        measured.append(context.name)
        measure_network(context)

    monkeypatch.setattr(cache_module, "measure_network", record_and_measure)
    analyze(nested_networks(60, {}, used=False))
    assert len(measured) <= 2 * 61


@pytest.mark.parametrize("axis", [0, 2, -2, -9, 10**9])
def test_size_of_an_invalid_axis_is_an_issue(axis: int) -> None:
    document = chain(TABLE, ("Linear", {"units": f"size({axis})"}))
    errors = analyze(document).errors
    assert [(issue.code, issue.node) for issue in errors] == [("parameter", "linear_1")]
    assert "cannot be evaluated" in errors[0].message
    assert ("batch axis" if axis in (0, -2) else "has no axis") in errors[0].message
    assert not analyze(chain(TABLE, ("Linear", {"units": "size(1) * 2"}))).errors


@pytest.mark.parametrize("layer", ["Stack", "Add", "Concat", "Maximum"])
def test_ports_that_depend_on_size_must_be_connected(layer: str) -> None:
    """A layer with size(1) inputs and two edges; its ports used to be read before the size was known."""
    edges = [("input_1", "layer_1.a"), ("input_1", "layer_1.b"), ("layer_1", "output_1")]
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"shape": [4]}),
        "layer_1": (layer, {"count": "size(1)"}),
        "output_1": ("Output", {}),
    }
    analysis = analyze(project(nodes, edges))
    assert {(issue.code, issue.node, issue.port) for issue in analysis.errors} == {
        ("missing_input", "layer_1", "c"),
        ("missing_input", "layer_1", "d"),
    }


def test_bilinear_with_a_million_units_is_measured_within_two_seconds() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": TABLE,
        "bilinear_1": ("Bilinear", {"units": 1_000_000}),
        "output_1": ("Output", {}),
    }
    edges = [("input_1", "bilinear_1.a"), ("input_1", "bilinear_1.b"), ("bilinear_1", "output_1")]
    start = time.process_time()
    assert analyze(project(nodes, edges)).nodes["bilinear_1"].parameters == 1_000_000 * (30 * 30 + 1)
    assert time.process_time() - start < 2.0


def nested_list(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [60, 200, 900, 5000])
def test_too_deeply_nested_parameters_are_refused(depth: int) -> None:
    edit = {"kind": "set", "node": "linear_1", "params": {"units": nested_list(depth)}}
    if depth > 64:
        with pytest.raises(EditError, match=r"nested at most 64 levels deep|malformed|nested less deeply"):
            apply(DOCUMENT, edit)
        return
    document = apply(DOCUMENT, edit)
    assert loads(dumps(document)) == document
    assert analyze(document).errors


def test_oversized_document_does_not_overwrite_the_file(tmp_path: Any) -> None:
    from netloom.document import read, write

    path = tmp_path / "document.json"
    write(path, DOCUMENT)
    notes = {f"note_{number}": {"text": "ü" * 20_000} for number in range(600)}
    large = DOCUMENT.with_network("main", Network.model_validate({"notes": notes}))
    with pytest.raises(DocumentError, match="at most"):
        write(path, large)
    assert read(path) == DOCUMENT


def test_every_rule_has_a_docstring() -> None:
    """The issue of a failed rule contains the rule's docstring."""
    for rule in rules():
        assert (type(rule).__doc__ or "").strip(), type(rule).__name__
