"""Generated source: equal for equal documents, safe for hostile documents, and readable."""

from __future__ import annotations

import ast
import random
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.compile import CompileError, input_nodes, module, output_nodes, source
from netloom.document import Edge, Network, Node, Project, apply, dumps, is_identifier, loads
from netloom.templates import templates
from tests.compile.allowed import check
from tests.networks import IMAGE, TABLE, chain, digits_mlp, project

HOSTILE = [
    '"""; import os',
    '""" + __import__("os").system("true") + """',
    "line\nimport os\nos.abort()",
    "line\r\nimport os",
    "line\u2028import os",
    "line\u0085import os\x0cimport sys\x1cimport re",
    "</script><script>alert(1)</script>",
    "back\\slash\\",
    "\\",
    '"',
    "'''",
    "# -*- coding: rot13 -*-",
    "\u202eexe.ti\u2066evil\u2069",
    "{format} %s {0.__class__}",
    "../../etc/passwd",
    "nul\x00byte",
    "日本語 ✓ 🦊",
]


@pytest.mark.parametrize("name", list(templates()))
def test_templates_compile_to_safe_source_that_builds(name: str) -> None:
    text = source(templates()[name].project)
    check(text)
    assert isinstance(module(text), nn.Module)
    assert max(len(line) for line in text.splitlines()) <= 120


@pytest.mark.parametrize("name", list(templates()))
def test_source_uses_all_its_imports(name: str) -> None:
    tree = ast.parse(source(templates()[name].project))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert imported <= used


@pytest.mark.parametrize("name", list(templates()))
def test_source_is_independent_of_node_and_edge_order(name: str) -> None:
    document = templates()[name].project
    expected = source(document)
    for seed in range(2):
        assert source(shuffled(document, seed)) == expected


def shuffled(document: Project, seed: int) -> Project:
    """The same network with shuffled nodes and edges."""
    rng, network = random.Random(seed), document.main_network
    nodes, edges = list(network.nodes.items()), list(network.edges)
    rng.shuffle(nodes)
    rng.shuffle(edges)
    return document.with_network(document.main, Network(nodes=dict(nodes), edges=tuple(edges)))


def test_ids_with_equal_sort_keys_keep_a_stable_order() -> None:
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"input_1": TABLE}
    edges = []
    for name in ("a_1", "a_01", "a_001", "a1", "a"):
        nodes[name] = ("Linear", {"units": 4})
        nodes[f"{name}_out"] = ("Output", {"name": name})
        edges += [("input_1", name), (name, f"{name}_out")]
    document = project(nodes, edges)
    assert len({source(shuffled(document, seed)) for seed in range(12)}) == 1


def test_source_survives_a_round_trip_through_json() -> (
    None
):  # another process: see tests/validation/test_other_process.py
    document = templates()["shapes_residual"].project
    assert source(loads(dumps(document))) == source(document)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_in_comments(text: str) -> None:
    plain = digits_mlp()
    document = plain.model_copy(update={"name": text, "notes": text})
    for node in ("linear_1", "input_1", "output_1", "relu_1"):
        document = apply(document, {"kind": "update", "node": node, "title": text, "note": text})
    document = apply(document, {"kind": "set", "node": "input_1", "params": {"field": text}})
    document = apply(document, {"kind": "set", "node": "output_1", "params": {"name": text}})
    generated = source(document)
    check(generated)
    assert len(generated.splitlines()) == len(source(plain).splitlines())
    assert all(letter.isprintable() or letter == "\n" for letter in generated)
    assert body(generated) == body(source(plain))
    compile(generated.encode(), "model.py", "exec")  # as bytes, so that Python decodes them as it would a file
    module(generated)


def body(text: str) -> list[str]:
    """The syntax tree without the module docstring."""
    return [ast.dump(node) for node in ast.parse(text).body[1:]]


@pytest.mark.parametrize("text", ["Stem", "Looks at 'edges' first", "Ж ✓"])
def test_titles_become_comments_behind_their_layer(text: str) -> None:
    document = apply(digits_mlp(), {"kind": "update", "node": "linear_1", "title": text})
    assert f"self.linear_1 = nn.Linear(64, 64)  # {text}" in source(document)


def test_source_of_the_digits_mlp_matches_the_golden_file() -> None:
    assert source(digits_mlp()) == Path(__file__).with_name("digits_mlp.txt").read_text(encoding="utf-8")


def test_compile_error_lists_all_issues() -> None:
    document = chain(TABLE, ("Linear", {"units": 0}), ("Conv2d", {}), ("Quantum", {}))
    with pytest.raises(CompileError) as caught:
        source(document)
    assert {issue.code for issue in caught.value.issues} >= {"parameter", "unknown_layer"}
    assert "\n" not in str(caught.value)


def test_module_attributes_and_keywords_are_invalid_ids() -> None:
    attributes = {name for name in dir(nn.Module()) if name.islower() and not name.startswith("_")}
    assert [name for name in attributes if is_identifier(name)] == []
    assert [name for name in ("torch", "nn", "math", "self", "super", "import", "none") if is_identifier(name)] == [
        "none"
    ]


def test_variables_do_not_shadow_outputs_of_other_layers() -> None:
    """lstm_1 has the outputs lstm_1_out and lstm_1_state; other nodes may have these ids."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"kind": "sequence", "shape": [5, 4]}),
        "lstm_1": ("LSTM", {"hidden_size": 6}),
        "lstm_1_state": ("Linear", {"units": 6}),
        "lstm_1_out": ("Flatten", {}),
        "output_1": ("Output", {"name": "state"}),
        "output_2": ("Output", {"name": "flat"}),
    }
    edges = [("input_1", "lstm_1"), ("lstm_1", "lstm_1_state"), ("lstm_1_state", "lstm_1_out")]
    edges += [("lstm_1.state", "output_1"), ("lstm_1_out", "output_2")]
    built = module(project(nodes, edges))
    x = torch.randn(3, 5, 4)
    state, flat = built(x)
    sequence, expected = built.get_submodule("lstm_1")(x)
    assert torch.equal(state, expected)
    assert torch.equal(flat, built.get_submodule("lstm_1_state")(sequence).flatten(1))


def test_unused_layers_are_omitted_from_the_source() -> None:
    document = apply(digits_mlp(), {"kind": "add", "nodes": [{"id": "relu_9", "type": "ReLU"}]})
    document = apply(document, {"kind": "connect", "source": "linear_1", "target": "relu_9"})
    assert source(document) == source(digits_mlp())


def test_inputs_and_outputs_are_in_natural_order() -> None:
    nodes = [Node(id=f"input_{number}", type="Input") for number in (10, 2, 1)]
    nodes += [Node(id=f"output_{number}", type="Output", params={"name": str(number)}) for number in (10, 9)]
    edges = [Edge(source="input_2", target="output_10"), Edge(source="input_10", target="output_9")]
    document = Project(
        name="x", networks={"main": Network(nodes={node.id: node for node in nodes}, edges=tuple(edges))}
    )
    assert input_nodes(document) == ["input_1", "input_2", "input_10"]
    assert output_nodes(document) == ["output_9", "output_10"]


def test_runtime_errors_show_the_generated_source_line() -> None:
    built = module(chain(IMAGE, ("Flatten", {}), ("Linear", {"units": 3})))
    with pytest.raises(RuntimeError) as caught:
        built(torch.zeros(2, 5))
    assert "self.linear_1(flatten_1)" in "".join(traceback.format_exception(caught.value))
