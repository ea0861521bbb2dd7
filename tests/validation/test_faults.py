"""Whatever Netloom itself fails at while it checks a project becomes an issue, and takes nothing else away."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

import netloom.validation.context as context_module
from netloom.compile import CompileError, source
from netloom.document import DocumentError, EditError, Network, Project, apply, dumps, loads, parse
from netloom.layers import registry
from netloom.validation import Analysis, Issue, analyse
from netloom.validation.context import MAX_DEPTH, MOST, Context
from netloom.validation.measure import measure
from netloom.validation.rule import Rule, rules, rules_of_every_network
from tests.networks import TABLE, chain, digits_mlp, network, networks, project

DOCUMENT = digits_mlp()
FAILURES = (KeyError("boom"), AssertionError("boom"), ZeroDivisionError("boom"), RecursionError("boom"), MemoryError())


def boom(*_: object, **__: object) -> Any:
    raise KeyError("boom")


def faults(found: Analysis) -> list[Issue]:
    return [issue for issue in found.issues if issue.code == "internal"]


def rule_issues(rule: Rule, document: Project) -> list[Issue]:
    found = analyse(document).context
    return list(rule.check(found, found.totals))


def shapes(found: Analysis) -> dict[str, dict[str, str]]:
    return {
        name: {key: str(facts.outputs) for key, facts in context.nodes.items()}
        for name, context in found.networks.items()
    }


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: type(rule).__name__)
def test_a_rule_that_fails_is_one_issue_and_takes_no_other_along(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    good = analyse(DOCUMENT)
    wrong = apply(DOCUMENT, {"kind": "set", "node": "linear_1", "params": {"units": -1}})
    expected = {issue.code for issue in analyse(wrong).issues} - {issue.code for issue in rule_issues(rule, wrong)}
    monkeypatch.setattr(type(rule), "check", boom)
    for document in (DOCUMENT, networks(main=DOCUMENT.main_network, a=Network(), b=Network())):
        found = analyse(document)
        assert len(faults(found)) == 1
        issue = faults(found)[0]
        assert type(rule).__name__ in issue.message
        assert "KeyError: 'boom'" in issue.message
        assert "\n" not in issue.message
        assert "Traceback" in issue.detail
        assert "Traceback" not in str(issue.as_json())
        assert issue.severity == ("error" if rule in rules_of_every_network() else "warning")
        assert shapes(found)["main"] == shapes(good)["main"]
        assert found.totals == good.totals
    assert {issue.code for issue in analyse(wrong).issues} == expected | {"internal"}


def test_what_a_rule_found_before_it_failed_is_still_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: Rule, context: Context, __: object) -> Any:
        yield context.issue("half", "Found.")
        boom()

    monkeypatch.setattr(type(rules()[0]), "check", half)
    assert {"half", "internal"} <= {issue.code for issue in analyse(DOCUMENT).issues}


@pytest.mark.parametrize("error", [*FAILURES, SystemExit(3)], ids=lambda error: type(error).__name__)
def test_a_layer_that_fails_is_one_issue_that_names_it(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise error

    good = analyse(DOCUMENT)
    monkeypatch.setattr(context_module, "measure", measure.__wrapped__)  # what it has measured is not asked again
    monkeypatch.setattr(registry()["ReLU"], "build", fails)
    first = analyse(DOCUMENT)
    assert [issue.node for issue in faults(first)] == ["relu_1"]
    assert "relu_1" in faults(first)[0].message
    assert "linear_1" in first.nodes
    assert "relu_1" not in first.nodes
    later = analyse(apply(DOCUMENT, {"kind": "move", "at": {"relu_1": [5, 5]}}), before=good)
    for _ in range(2):
        assert [issue.node for issue in later.issues] == ["relu_1"], "nothing else is wrong with it"
        assert shapes(later) == shapes(good), "what was known last"
        assert later.totals == good.totals
        later = analyse(DOCUMENT, before=later)
    with pytest.raises(CompileError, match="failed to measure"):
        source(DOCUMENT)


PARTS: dict[str, tuple[Any, str]] = {
    "graph": (context_module, "digraph"),
    "circles": (context_module, "cyclic"),
    "order": (context_module, "execution_order"),
    "reading": (context_module, "parse"),
    "interface": (context_module, "interface"),
    "measuring": (context_module, "measure"),
    "inside": (Context, "_measure_inside"),
    "facts": (Context, "_facts"),
    "totals": (Context, "_totals"),
    "layers": (Context, "_layers"),
    "bytes": (context_module, "_bytes"),
    "uses": (context_module.ContextCache, "use"),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_pass_may_fail(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block = network({"input_1": TABLE, "relu_1": ("ReLU", {}), "output_1": ("Output", {})})
    main = network({"input_1": TABLE, "block_1": ("Subnetwork", {"network": "block"}), "output_1": ("Output", {})})
    document = networks(main=main, block=block)
    good = analyse(document)
    monkeypatch.setattr(*PARTS[part], boom)
    for before in (None, good):
        found = analyse(document, before=before)
        assert faults(found)
        assert all("'boom'" in issue.message for issue in faults(found))
        assert found.networks.keys() == document.networks.keys()
        assert found.networks["block"].network.nodes == block.nodes
        if before:
            assert {name: set(known) for name, known in shapes(found).items()} == {
                name: set(known) if part != "facts" else set() for name, known in shapes(good).items()
            }
            assert found.totals.layers == good.totals.layers or part in ("facts", "inside")


def test_analyses_do_not_hold_on_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes what it does not know from the one before; a day of edits would stay in memory."""
    found = None
    monkeypatch.setattr(Context, "_totals", boom)  # so that each takes something from the one before
    for units in range(20, 40):
        edits = [
            {"kind": "project", "name": "Chained"},
            {"kind": "set", "node": "linear_1", "params": {"units": units}},
        ]
        found = analyse(apply(DOCUMENT, {"kind": "batch", "edits": edits}), before=found)
    gc.collect()
    mine = [item for item in gc.get_objects() if type(item) is Context and item.project.name == "Chained"]
    assert len(mine) < 3


def nested(depth: int, params: dict[str, Any], layer: str = "ReLU", used: bool = True) -> Project:
    """Networks that stand in each other."""
    made: dict[str, Any] = {}
    for number in range(depth):
        inner = {"network": f"n{number + 1}", **params}
        node = {"type": "Subnetwork", "params": inner} if number < depth - 1 else {"type": layer}
        nodes = {"input_1": {"type": "Input"}, "x_1": node, "output_1": {"type": "Output"}}
        edges = [{"source": "input_1", "target": "x_1"}, {"source": "x_1", "target": "output_1"}]
        made[f"n{number}"] = {"nodes": nodes, "edges": edges}
    main: dict[str, Any] = {} if used else {"main": {}}
    return parse({"name": "Nested", "networks": {**main, **made}, "main": "n0" if used else "main"})


@pytest.mark.parametrize("depth", [110, 199])
@pytest.mark.parametrize("params", [{"repeat": 1000}, {"repeat": 1000, "shared": True}], ids=["apart", "shared"])
@pytest.mark.parametrize("layer", ["ReLU", "BatchNorm1d"])
def test_repetitions_beyond_every_number_are_an_issue(depth: int, params: dict[str, Any], layer: str) -> None:
    document = nested(depth, params, layer)
    found = analyse(document)
    assert not faults(found)
    assert found.errors
    totals = found.totals
    assert totals.layers == MOST
    assert max(totals.parameters, totals.flops, totals.memory_bytes, totals.activation_bytes) <= MOST
    assert "inf" not in " ".join(issue.message for issue in found.issues)
    assert loads(dumps(document)) == document


def test_a_deep_network_is_measured_from_a_deep_page() -> None:
    """A page stands on a stack of its own when it asks."""

    def deeper(levels: int) -> Analysis:
        return deeper(levels - 1) if levels else analyse(nested(MAX_DEPTH, {}))

    found = deeper(150)
    assert [issue.message for issue in faults(found)] == []
    assert found.totals.layers == 1


def test_networks_that_stand_in_each_other_unused_are_measured_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    real, looked = Context.measure_all, list[str]()

    def look(self: Context) -> None:
        looked.append(self.name)
        real(self)

    monkeypatch.setattr(Context, "measure_all", look)
    analyse(nested(60, {}, used=False))
    assert len(looked) <= 2 * 61


@pytest.mark.parametrize("axis", [0, 2, -2, -9, 10**9])
def test_an_axis_without_a_length_is_an_issue(axis: int) -> None:
    document = chain(TABLE, ("Linear", {"units": f"size({axis})"}))
    errors = analyse(document).errors
    assert [(issue.code, issue.node) for issue in errors] == [("parameter", "linear_1")]
    assert "cannot be evaluated" in errors[0].message
    assert ("batch axis" if axis in (0, -2) else "has no axis") in errors[0].message
    assert not analyse(chain(TABLE, ("Linear", {"units": "size(1) * 2"}))).errors


@pytest.mark.parametrize("layer", ["Stack", "Add", "Concat", "Maximum"])
def test_ports_that_follow_from_a_size_are_asked_for(layer: str) -> None:
    """size(1) inputs of a layer that has two edges: what it takes was looked up before it was known."""
    edges = [("input_1", "layer_1.a"), ("input_1", "layer_1.b"), ("layer_1", "output_1")]
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"shape": [4]}),
        "layer_1": (layer, {"count": "size(1)"}),
        "output_1": ("Output", {}),
    }
    found = analyse(project(nodes, edges))
    assert {(issue.code, issue.node, issue.port) for issue in found.errors} == {
        ("missing_input", "layer_1", "c"),
        ("missing_input", "layer_1", "d"),
    }


def test_a_million_units_are_measured_at_once() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": TABLE,
        "bilinear_1": ("Bilinear", {"units": 1_000_000}),
        "output_1": ("Output", {}),
    }
    edges = [("input_1", "bilinear_1.a"), ("input_1", "bilinear_1.b"), ("bilinear_1", "output_1")]
    start = time.process_time()
    assert analyse(project(nodes, edges)).nodes["bilinear_1"].parameters == 1_000_000 * (30 * 30 + 1)
    assert time.process_time() - start < 2.0


def layered(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [60, 200, 900, 5000])
def test_settings_that_could_not_be_written_are_refused(depth: int) -> None:
    edit = {"kind": "set", "node": "linear_1", "params": {"units": layered(depth)}}
    if depth > 64:
        with pytest.raises(EditError, match=r"nested at most 64 levels deep|malformed|nested less deeply"):
            apply(DOCUMENT, edit)
        return
    document = apply(DOCUMENT, edit)
    assert loads(dumps(document)) == document
    assert analyse(document).errors


def test_a_file_is_not_overwritten_by_what_cannot_be_read(tmp_path: Any) -> None:
    from netloom.document import read, write

    path = tmp_path / "document.json"
    write(path, DOCUMENT)
    notes = {f"note_{number}": {"text": "ü" * 20_000} for number in range(600)}
    large = DOCUMENT.with_network("main", Network.model_validate({"notes": notes}))
    with pytest.raises(DocumentError, match="at most"):
        write(path, large)
    assert read(path) == DOCUMENT


def test_every_check_that_is_made_says_what_it_asks_for() -> None:
    """An issue about a rule that failed names it in its own words."""
    for rule in rules():
        assert (type(rule).__doc__ or "").strip(), type(rule).__name__
