"""Networks written as formulas: they compute what Python computes, round-trip, and never execute as code."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from netloom.cli import main
from netloom.compile import module, source
from netloom.compile.formula import FormulaError, network_of, text_of
from netloom.compile.formula.names import NODE_FIELDS, callables
from netloom.compile.formula.parser import MAX_LENGTH
from netloom.document import Editor, Network, Project, apply, read, write
from netloom.document.network import MAX_NODES
from netloom.layers import registry
from netloom.layers.layer import SAMPLES, TensorSpec
from netloom.templates import architectures, templates
from netloom.validation import analyze
from tests.layers.test_catalogue import CASES, Case
from tests.loops import leaky_cell, looped
from tests.networks import chain, network, networks

VECTOR = ("Input", {"kind": "vector", "shape": [8]})


def dump_without_layout(network: Network) -> dict[str, Any]:
    """Return the network's values without the positions of its nodes."""
    value = network.model_dump(mode="json", exclude={"notes"})
    for node in value["nodes"].values():
        del node["at"]
    return {**value, "edges": sorted(value["edges"], key=lambda edge: str(edge["target"]))}


def assert_round_trips(network: Network, callable_networks: dict[str, Network]) -> None:
    text = text_of(network, callable_networks)
    assert dump_without_layout(network_of(text, callable_networks)) == dump_without_layout(network), text


def run_formula(text: str, *inputs: torch.Tensor, **callable_networks: Network) -> Any:
    """Compute the outputs of the network that the formula defines."""
    parsed = network_of(text, callable_networks)
    ports = parsed.ports("Input")
    nodes = dict(parsed.nodes)
    for key, value in zip(ports, inputs, strict=True):
        kind = TensorSpec((None, *value.shape[1:])).kind
        params = {"kind": "tensor" if kind == "any" else kind, "shape": list(value.shape[1:])}
        nodes[key] = nodes[key].model_copy(update={"params": params})
    project = Project(name="Test", networks={"main": parsed.model_copy(update={"nodes": nodes}), **callable_networks})
    analysis = analyze(project)
    issues = [issue for issue in analysis.issues if issue.code != "nothing_to_learn"]
    assert not issues
    torch.manual_seed(0)
    return module(source(project, replace(analysis, issues=issues))).eval()(*inputs)


@pytest.mark.parametrize("name", [*templates(), *architectures()])
def test_templates_and_architectures_round_trip_as_formulas(name: str) -> None:
    project = (templates().get(name) or architectures()[name]).project
    for key, inner in project.networks.items():
        assert_round_trips(
            inner, {network_name: value for network_name, value in project.networks.items() if network_name != key}
        )


def test_every_layer_round_trips_as_formula() -> None:
    for each in CASES:
        (case,) = each.values
        assert isinstance(case, Case)
        assert_round_trips(case.document.main_network, {})


def test_unusual_networks_round_trip_as_formulas() -> None:
    odd = network(
        {
            "width_": VECTOR,
            "in_10": VECTOR,
            "wide": ("Linear", {"units": "width * 2"}),
            "b": ("Linear", {"units": "8", "bias": True}),
            "c": ("Linear", {"units": "wrong + "[:5]}),
            "add_1": ("Add", {"count": 3}),
            "lstm_1": ("LSTM", {}),
            "gone": ("Subnetwork", {"network": "gone", "values": {}, "repeat": 2}),
            "block": ("Subnetwork", {"network": "block", "values": {"size": "width", "repeat": 3}}),
            "last": ("Output", {"name": "it's"}),
            "output_2": ("Output", {}),
        },
        [
            ("width_", "wide"),
            ("lstm_1.state", "last"),
            ("wide", "add_1.b"),
            ("wide", "block"),
            ("block", "output_2"),
        ],
        width=4,
        part=-0.5,
    )
    nodes = {
        **odd.nodes,
        "c": odd.nodes["c"].model_copy(update={"shares": "b", "params": {"units": 3}, "title": 'two\n"lines"'}),
        "wide": odd.nodes["wide"].model_copy(update={"frozen": True, "note": "a remark", "shares": "nowhere"}),
    }
    inner = network(
        {"input_1": VECTOR, "linear_1": ("Linear", {"units": "size"}), "output_1": ("Output", {})}, size=3, repeat=2
    )
    assert_round_trips(odd.model_copy(update={"nodes": nodes}), {"block": inner})
    for empty in (Network(), network({"linear_1": ("Linear", {})}, [])):
        assert_round_trips(empty, {})


def test_node_named_like_a_parameter_gets_a_new_id() -> None:
    original = network({"x": VECTOR, "width": ("Linear", {"units": "width"}), "output_1": ("Output", {})}, width=4)
    parsed = network_of(text_of(original))
    assert (parsed.parameters, list(parsed.nodes)) == ({"width": 4}, ["x", "width_", "output_1"])


def test_layer_parameters_do_not_clash_with_node_fields() -> None:
    assert not [
        (name, field) for name, kind in registry().items() for field in kind.model_fields if field in NODE_FIELDS
    ]
    assert {kind for kind, _ in callables().values()} == set(registry())


@pytest.mark.parametrize(
    "text",
    [
        "x * 2 + 1",
        "2 * x - 3",
        "1 - x",
        "-x",
        "x / 4",
        "1 / x",
        "3 / (x + 5)",
        "x ** 3",
        "2 ** x",
        "abs(x) ** y",
        "x + y * x - y",
        "x // 0.3",
        "x / (y * y + 1)",
        "exp(-x) * sqrt(abs(y))",
        "x[:, 1:3]",
        "x[..., 0]",
        "x[:, :1] + x[..., -1:]",
        "x[:, :-1:2]",
        "max(x, y) - min(y, 0.1)",
        "max(x, 0) * max(0.5, x)",
        "(x + 1) * (x + 1)",
    ],
)
def test_operators_match_python(text: str) -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    names = {
        "x": x,
        "y": y,
        "exp": torch.exp,
        "sqrt": torch.sqrt,
        "abs": torch.abs,
        "max": lambda a, b: torch.maximum(torch.as_tensor(a), torch.as_tensor(b)),
        "min": lambda a, b: torch.minimum(torch.as_tensor(a), torch.as_tensor(b)),
    }
    expected = eval(text, names)
    result = run_formula(text, *((x, y) if "y" in text else (x,)))
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("relation", ["<", "<=", "==", "!=", ">=", ">"])
def test_comparison_operators_match_python(relation: str) -> None:
    x, y = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    for text in (f"x {relation} y", f"x {relation} 2", f"2 {relation} x"):
        result = run_formula(text, *((x, y) if "y" in text else (x,)))
        assert torch.equal(result.bool(), eval(text, {"x": x, "y": y}))


def test_indexing_several_axes_matches_torch() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(run_formula("x[:, 1, :, 2]", x), x[:, 1, :, 2])
    assert torch.equal(run_formula("x[..., 1, 1:, 2]", x), x[..., 1, 1:, 2])
    assert torch.equal(run_formula("x[:, 0, ..., -1]", x), x[:, 0, ..., -1])
    assert torch.equal(run_formula("a @ b", x, x.mT), x @ x.mT)


def test_formula_matches_handwritten_module() -> None:
    text = """width = 6
hidden = GELU(Linear(x, out_features=width * 4))
Linear(hidden, out_features=width) * sigmoid(gate) + x
"""

    class Twin(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(width, width * 4), nn.Linear(width * 4, width)

        def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            return self.second(nn.functional.gelu(self.first(x))) * torch.sigmoid(gate) + x  # type: ignore[no-any-return]

    x, gate = torch.randn(3, 6), torch.randn(3, 6)
    result = run_formula(text, x, gate)
    torch.manual_seed(0)  # the seed that run_formula sets
    torch.testing.assert_close(result, Twin(6)(x, gate))
    parsed = network_of(text)
    assert parsed.parameters == {"width": 6}
    assert list(parsed.ports("Input").values()) == ["in", "gate"]
    sources = {edge.target: edge.source for edge in parsed.edges}
    assert all(parsed.nodes[sources[key]].at[1] < parsed.nodes[key].at[1] for key in sources if "." not in key)


def test_layer_bound_to_a_name_shares_its_weights() -> None:
    separate_calls = network_of("Linear(x, units=8) + Linear(x, units=8)")
    shared_calls = network_of("twin = Linear(units=8)\nact = ReLU()\nact(twin(x)) + act(twin(twin(x)))")
    assert [node.shares for node in separate_calls.nodes.values() if node.type == "Linear"] == [None, None]
    assert sorted(str(node.shares) for node in shared_calls.nodes.values() if node.type == "Linear") == [
        "None",
        "linear_1",
        "linear_1",
    ]
    assert all(node.shares is None for node in shared_calls.nodes.values() if node.type == "ReLU")
    project = Project(name="Test", networks={"main": network_of("twin = Linear(units=16)\ntwin(x) + twin(twin(x))")})
    assert not analyze(project).errors
    assert sum(weight.numel() for weight in module(project).parameters()) == 16 * 16 + 16


def test_networks_are_called_like_layers() -> None:
    block = network_of("width = 8\nGELU(Linear(x, units=width))")
    x = torch.randn(2, 5)
    assert run_formula("block(x, width=3)", x, block=block).shape == (2, 3)
    assert run_formula("wide = 4\nblock(block(x, width=wide * 2), repeat=3)", x, block=block).shape == (2, 8)
    parsed = network_of("block(x, width=5, repeat=3)", {"block": block})
    assert parsed.nodes["block_1"].params == {"network": "block", "repeat": 3, "values": {"width": 5}}


def test_input_kind_is_inferred_from_the_layer_that_reads_it() -> None:
    kinds = {
        "Conv2d(x)": "image",
        "LSTM(x)": "sequence",
        "Embedding(x)": "tokens",
        "Conv3d(x)": "volume",
        "x + 1": None,
    }
    for text, kind in kinds.items():
        params = network_of(text).nodes["x"].params
        assert params.get("kind") == kind
        if kind is not None:
            assert params["shape"] == list(SAMPLES[kind].shape[1:])  # type: ignore[index]


def test_formula_returns_several_outputs() -> None:
    parsed = network_of("out, state = LSTM(x)\nsmall, big = Chunk(out)\nreturn small + big, state, LSTM(out).state")
    assert [node.params.get("name") for node in parsed.nodes.values() if node.type == "Output"] == [
        "output_1",
        "state",
        "output_3",
    ]
    assert {edge.source for edge in parsed.edges if edge.target.startswith("output")} == {
        "add_1",
        "lstm_1.state",
        "lstm_2.state",
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("Liner(x)", 1, 1, "no layer 'Liner' (did you mean Linear?)"),
        ("Reparameteris(x)", 1, 1, "did you mean Reparameterize?"),  # not its former name
        ("y = x\nmultihead_atention(y)", 2, 1, "did you mean MultiHeadAttention?"),
        ("Linear(x, unts=3)", 1, 11, "no parameter 'unts' (did you mean units?); it has units, bias"),
        ("Linear(x, 64)", 1, 11, "numbers as keyword arguments; write units=64"),
        ("Linear(x, units=0)", 1, 1, "units must be at least 1, received 0"),
        ("width = 3\nLinear(x, units=widht)", 2, 17, "did you mean width?"),
        ("hidden = Linear(x)\nReLU(hiden)", 2, 6, "did you mean hidden?"),
        ("x = Input()\nReLU(é) + y", 2, 6, "no tensor 'é'"),
        ("é = ReLU(x)\né + Foo1(x)", 2, 5, "no layer 'Foo1'"),
        ("b = a + c\nc = ReLU(a)\nb + c", 1, 9, "defined in line 2"),
        ("Add(x)", 1, 1, "Add takes 2 tensors (a, b), received 1"),
        ("CrossAttention(x, memry=y)", 1, 1, "did you mean memory?"),
        ("LSTM(x).stat", 1, 1, "did you mean state?"),
        ("a, b, c = LSTM(x)\na", 1, 1, "has 2: out, state"),
        ("ReLU(x)\nReLU(x)", 1, 1, "assign it with name ="),
        ("y = ReLU(x)", 1, 1, "must define the output"),
        ("return x\nx", 1, 1, "no line may follow"),
        ("x +", 1, 4, "each line must be name = …"),
        ("import os", 1, 1, "not supported"),
        ("def f(x):\n  return x", 1, 1, "not supported"),
        ("__import__('os').system('x')", 1, 1, "by its name"),
        ("x.__class__", 1, 1, "no output '__class__'"),
        ("[y for y in x]", 1, 1, "an expression can contain"),
        ("(lambda: x)()", 1, 1, "by its name"),
        ("x @ 3", 1, 1, "write * for a number"),
        ("x / 0", 1, 1, "division by 0"),
        ("x[0]", 1, 1, "the batch"),
        ("1 < x < 2", 1, 1, "two values at a time"),
        ("Linear", 1, 1, "is a layer"),
        ("twin = Linear(units=2)\nReLU(twin)", 2, 6, "not connected to a tensor"),
        ("width = 1\nwidth = ReLU(x)", 2, 1, "already a parameter of this network"),
        ("Linear(x, units='a b')", 1, 1, "neither a number nor an expression"),
        ("Linear(x, shares='A b')", 1, 1, "lowercase Python name"),
        ("GELU(x, approximate=tanh)", 1, 21, "write text in quotes"),
        ("Linear(x, units=2 ** 1e9)", 1, 1, "the maximum of"),
        ("width = 1e999\nx", 1, 1, "between -1e9 and 1e9"),
        ("b = 1\nc = b + b\n" + "c = c + c\n" * 9 + "x", 7, 5, "at most 200 characters"),
        ("Subnetwork(x, network='y', values=3)", 1, 1, "values must be a JSON object"),
        ("", 1, 1, "type what"),
        ("\x00", 1, 1, "null bytes"),
        ("\ud800", 1, 1, "invalid characters"),
        ("(" * 500 + "x" + ")" * 500, 1, 201, "nested"),
        ("-" * 100 + "x", 1, 61, "more than 60 levels deep"),
        ("x" * (MAX_LENGTH + 1), 1, 1, "are allowed"),
        ("9" * 5_000, 1, 1, "limit"),
        ("\n".join(["x = ReLU(x)"] * (MAX_NODES + 5)), MAX_NODES, 5, "at most 2,000 layers"),
    ],
)
def test_formula_errors_state_line_and_column(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(FormulaError) as caught:
        network_of(text)
    message = str(caught.value)
    assert words in message
    assert message.startswith(f"Line {line}, column {column}: ")
    assert message.endswith(".")
    assert "\n" not in message


def test_invalid_networks_cannot_be_written_as_formulas() -> None:
    cycle = network({"a": ("ReLU", {}), "b": ("ReLU", {})}, [("a", "b"), ("b", "a")])
    for invalid_network, words in (
        (cycle, "cycle"),
        (network({"a": ("Quantum", {})}), "no layer of the type"),
        (network({"a": ("Linear", {"units": 0})}), "fix this first"),
        (network({"a": VECTOR, "b": ("ReLU", {})}, [("a", "b.x")]), "no port"),
    ):
        with pytest.raises(FormulaError, match=words):
            text_of(invalid_network)


PIECES = st.sampled_from(
    """x y hidden Linear( ReLU( Concat( block( ) ( , = + - * / @ ** [:, ] 0 1 64 units= axis= 'text' "a" . state return
    width \n : lambda import __import__('os').system('touch\tMARKER') open('MARKER','w') [ { } # ; \\ 1e999 None True
    f'{x}' := size(1) Input() Output( name= shares= * ** ... < == é""".split(" ")
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40))
def check_random_formula(text: str) -> None:
    block = network({"input_1": VECTOR, "output_1": ("Output", {})})
    refusal = ""
    try:
        assert_round_trips(network_of(text, {"block": block}), {"block": block})
    except FormulaError as error:
        refusal = str(error)
    assert not refusal or (refusal.startswith("Line ") and "\n" not in refusal)


def test_random_formulas_parse_or_raise_without_executing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_random_formula()
    for text in ("open('MARKER', 'w')", "x = open('MARKER', 'w')\nx", "Linear(x, units=open('MARKER', 'w'))"):
        with pytest.raises(FormulaError):
            network_of(text)
    assert not (tmp_path / "MARKER").exists()  # the folder may hold Hypothesis's character table


def test_replacing_a_network_is_one_undoable_edit() -> None:
    outer = chain(VECTOR, ("Subnetwork", {"network": "block"})).main_network
    before = networks(main=outer, block=network_of("Linear(x, units=3)"))
    content = network_of("width = 4\nGELU(Linear(x, units=width))").model_dump(mode="json")
    editor = Editor(before)
    assert editor.apply({"kind": "replace_network", "name": "block", "content": content})
    assert str(analyze(editor.project).nodes["subnetwork_1"].outputs["out"]) == "(N, 4)"
    assert editor.apply({"kind": "undo"})
    assert editor.project == before
    with pytest.raises(ValueError, match="no network"):
        apply(before, {"kind": "replace_network", "name": "nothing", "content": content})
    with pytest.raises(ValueError, match="invalid"):
        apply(before, {"kind": "replace_network", "name": "block", "content": {"nodes": {"A": {}}}})


def test_power_with_constant_base_becomes_an_exponential() -> None:
    (scaled,) = (node for node in network_of("2 ** x").nodes.values() if node.type == "ScaleShift")
    assert scaled.params["scale"] == math.log(2)


def test_formula_with_invalid_parameter_is_saved_with_its_issue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """size(0) is the batch size, which is not a valid number of units; a document with it used to fail to open."""
    document, lines = tmp_path / "document.json", tmp_path / "lines.txt"
    write(document, chain(VECTOR, ("Linear", {"units": 4})))
    lines.write_text("Linear(x, units=size(0))\n")
    assert main(["formula", str(document), "--network", "typed", "--write", str(lines)]) == 0
    assert "the batch axis N, which has no fixed length" in capsys.readouterr().out
    analysis = analyze(read(document))
    assert [issue.code for issue in analysis.issues if issue.network == "typed"][:1] == ["parameter"]


def test_formula_exceeding_the_file_limit_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document, lines = tmp_path / "document.json", tmp_path / "lines.txt"
    write(document, chain(VECTOR, ("Linear", {"units": 4})))
    before = document.read_bytes()
    lines.write_text("\n".join(f"a{number} = Linear(x, units={number + 1})" for number in range(40)))
    monkeypatch.setattr("netloom.document.files.MAX_BYTES", len(before) + 500)
    assert main(["formula", str(document), "--network", "typed", "--write", str(lines)]) != 0
    assert document.read_bytes() == before


def test_network_along_an_axis_keeps_its_states() -> None:
    project = looped(leaky_cell(), direction="reverse", initial={"hidden": "learned"})
    text = text_of(project.main_network, project.networks)
    assert "cell(input_1, along='axis', states={'hidden': 'out'}, direction='reverse'" in text
    assert "cell_1.final_hidden" in text
    again = network_of(text, project.networks)
    assert again.nodes["cell_1"].params == project.main_network.nodes["cell_1"].params
    assert set(again.edges) == set(project.main_network.edges)
