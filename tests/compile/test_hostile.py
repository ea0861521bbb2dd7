"""Random documents from Hypothesis: each is refused with a message or compiles to safe source that builds."""

from __future__ import annotations

import ast
import json
from collections import Counter
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netloom.compile import CompileError, module, source
from netloom.document import DocumentError, apply, loads
from netloom.layers import FormField, form, registry
from netloom.layers.io import RANKS, Input, Output
from netloom.layers.layer import SAMPLES, Kind
from netloom.validation import analyze
from tests.compile.allowed import check
from tests.networks import TABLE, chain

HOSTILE = st.sampled_from(
    ['"""; import os', "x\nimport os", "</script>", "\\", "\u202eevil", "__import__('os')", "../..", "' or 1=1", "\x00"]
)
TEXT = st.one_of(HOSTILE, st.text(max_size=30))
IDS = ["input_1", "linear_1", "linear_01", "lstm_1", "lstm_1_state", "a", "b", "add_1", "print", "exec", "output_1"]
BAD_IDS = ["self", "class", "__init__", "os.system", "A", "", "forward", "x" * 70, "training", 'a"', "a b"]
TYPES = [*registry(), "Input", "Output", "Linear", "ReLU", "Flatten", "Add"]
BAD_TYPES = ["Quantum", "__import__", "nn.Linear", "Layer", "linear", "", "os.system('true')"]
WILD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.lists(st.integers(-2, 9), max_size=5),
    st.dictionaries(TEXT, st.integers(), max_size=2),
)
INNER = [name for name, layer in registry().items() if not issubclass(layer, (Input, Output))]
KINDS: tuple[Kind, ...] = ("vector", "sequence", "image")
FITTING: dict[Kind, list[str]] = {
    kind: [name for name in INNER if {kind, "any"} & set(registry()[name]().inputs()[0].kinds)] for kind in KINDS
}
# Parameters of the layers' examples, which are valid.
EXAMPLES = {name: [example.params for example in registry()[name].examples()] for name in INNER}
SHAPES = {kind: [SAMPLES[kind].size(axis) for axis in range(1, RANKS[kind] + 1)] for kind in KINDS}
OUTCOMES: Counter[str] = Counter()


NAME = TEXT.filter(bool)
BAD_ID, BAD_TYPE = st.sampled_from(BAD_IDS) | TEXT, st.sampled_from(BAD_TYPES) | TEXT
SEEDS = st.integers(0, 2**20)  # with a larger range, Hypothesis repeats small numbers


def valid_values(field: FormField) -> st.SearchStrategy[Any]:
    """Valid values of a parameter, mostly small ones."""
    if field.kind == "bool":
        return st.booleans()
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "text":
        return TEXT
    if field.kind == "ints":
        return st.lists(st.integers(1, 6), min_size=1, max_size=3)
    low, high = field.minimum or 0, field.maximum or 1
    if field.kind == "float":
        return st.floats(low, high, exclude_min=field.exclusive_minimum, exclude_max=True)
    return st.one_of(st.integers(int(low), int(min(high, low + 8))), st.integers(int(low), int(high)))


@cache
def parameter_strategies(kind: str) -> dict[str, st.SearchStrategy[Any]]:
    """Strategies for a layer's parameters; cached because Hypothesis validates each new strategy."""
    return {field.name: valid_values(field) for field in form(registry()[kind])} if kind in registry() else {}


def random_node(draw: st.DrawFn, random: Random, kind: str) -> dict[str, Any]:
    """A node, mostly with valid parameters."""
    if random.random() < 1 / 2 or not EXAMPLES.get(kind):
        params = {name: draw(values) for name, values in parameter_strategies(kind).items() if random.random() < 1 / 5}
    else:
        params = dict(random.choice(EXAMPLES[kind]))
    if random.random() < 1 / 30:
        params[draw(TEXT)] = draw(WILD)
    if params and random.random() < 1 / 20:
        params[random.choice(list(params))] = draw(WILD)
    value: dict[str, Any] = {"type": kind, "params": params}
    if random.random() < 1 / 2:
        value |= {"title": draw(TEXT), "note": draw(TEXT), "frozen": random.random() < 1 / 2}
    return value


@st.composite
def random_documents(draw: st.DrawFn) -> dict[str, Any]:
    """A chain of layers with a few additional edges and occasional mistakes.

    Values and text come from Hypothesis. The layer types come from a random generator with a seed from Hypothesis,
    because one draw by Hypothesis costs as much as everything else that a node needs.
    """
    random = Random(draw(SEEDS))

    def rarely() -> bool:
        return random.random() < 1 / 40

    def sometimes() -> bool:  # mistakes that `loads` finds, in some of 200 documents
        return random.random() < 1 / 15

    tensor_kind: Kind = random.choice(KINDS)
    shape = (
        list(SHAPES[tensor_kind])
        if random.random() < 1 / 2
        else [random.randint(1, 8) for _ in range(RANKS[tensor_kind])]
    )
    input_params = {"kind": tensor_kind, "shape": shape}
    kinds = ["Input", "Linear"] if random.random() < 1 / 2 else ["Input"]  # most layers have nothing to learn
    for _ in range(random.randint(0, 4)):
        kinds.append(random.choice(TYPES if rarely() else FITTING[tensor_kind]))
        ports_out = registry()[kinds[-1]]().outputs()
        tensor_kind = ports_out[0].kinds[0] if ports_out and ports_out[0].kinds[0] in FITTING else tensor_kind
    kinds.append("Output")
    if rarely():
        kinds[random.randrange(len(kinds))] = draw(BAD_TYPE)
    names = random.sample(IDS, len(kinds))
    if sometimes():
        names[random.randrange(len(names))] = draw(BAD_ID)
    nodes = {name: random_node(draw, random, kind) for name, kind in zip(names, kinds, strict=True)}
    if kinds[0] == "Input":
        nodes[names[0]]["params"] |= input_params
    edges: dict[str, str] = {}
    for index, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        ports = [port.name for port in registry()[kind]().inputs()] if kind in registry() else ["in"]
        for port in ports:
            source_id = random.choice(names[:index]) if index and rarely() else names[max(index - 1, 0)]
            ports_out = (
                registry()[kinds[names.index(source_id)]]().outputs()
                if kinds[names.index(source_id)] in registry()
                else ()
            )
            source_port = random.choice([port.name for port in ports_out]) if len(ports_out) > 1 else "out"
            edges[f"{name}.{port}"] = f"{source_id}.{source_port}"
    if sometimes():
        edges[f"{random.choice(names)}.{random.choice(['in', 'a', 'x', 'In', ''])}"] = random.choice(
            [*names, "nowhere", "a.b.c"]
        )
    return {
        "format": 1,
        "name": draw(NAME),
        "networks": {
            "main": {"nodes": nodes, "edges": [{"source": edges[target], "target": target} for target in edges]}
        },
        "training": {"batch_size": random.choice([1, 64, 65_536])},
    }


@given(random_documents())
def check_document(value: dict[str, Any]) -> None:
    try:
        project = loads(json.dumps(value))
    except DocumentError:
        OUTCOMES["no document"] += 1
        return
    analysis = analyze(project)
    for issue in analysis.issues:
        assert issue.message
        assert "\n" not in issue.message
        json.dumps(issue.as_json(), allow_nan=False)
    for _ in range(12):  # apply fixes, so that more of the documents compile
        fix = next((issue.fix for issue in analysis.errors if issue.fix), None)
        if fix is not None:
            project = apply(project, fix.edit)
            analysis = analyze(project)
    try:
        text = source(project, analysis)
    except CompileError:
        assert analysis.network_errors
        OUTCOMES["refused"] += 1
        return
    assert not analysis.network_errors
    strings = [item.value for item in ast.walk(check(text)) if isinstance(item, ast.Constant)]
    assert "import os" not in [str(string) for string in strings[1:]]
    with torch.device("meta"):
        built = module(text)
    assert sum(weight.numel() for weight in built.parameters()) <= analysis.totals.parameters
    OUTCOMES["built"] += 1


def test_frozen_layers_add_a_train_method_to_the_source() -> None:
    plain = chain(TABLE, ("Linear", {"units": 4}), ("BatchNorm1d", {}), ("Linear", {"units": 3}))
    frozen = source(apply(plain, {"kind": "update", "node": "batchnorm1d_1", "frozen": True}))
    check(frozen)
    assert "def train(" in frozen
    with pytest.raises(AssertionError):
        check(frozen.replace("super().train(mode)", "super().train(print(mode))"))


@pytest.mark.parametrize("count", [100, pytest.param(2_000, marks=pytest.mark.long)])
def test_random_documents_are_refused_or_compile_to_safe_source(count: int) -> None:
    OUTCOMES.clear()
    checks = list(HealthCheck)
    settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks)(
        check_document
    )()
    assert OUTCOMES.total() >= count, OUTCOMES
    assert OUTCOMES["built"] >= count / 10, OUTCOMES
    assert OUTCOMES["refused"] >= count / 10, OUTCOMES
    assert OUTCOMES["no document"] >= count / 100, OUTCOMES


EXPRESSIONS = st.sampled_from(
    [
        "width",
        "width * 2",
        "size(1)",
        "size(-1) // 2",
        "8",
        "__import__('os').system('x')",
        "width.real",
        "9**9**9",
        "(",
    ]
)


@st.composite
def nested_networks(draw: st.DrawFn) -> dict[str, Any]:
    """Nested networks, occasionally recursive, with arbitrary parameters and expressions."""
    names = ["main", *draw(st.permutations(["range", "print", "exec", "stage", "super_1", "add_1"]))[:3]]
    rare = st.integers(0, 14).map(lambda number: number == 7)
    network_values = {}
    for index, name in enumerate(names):
        nodes: dict[str, Any] = {"input_1": {"type": "Input", "params": {"kind": "vector", "shape": [8]}}}
        for number in range(draw(st.integers(1, 3))):
            inner_names = names[index + 1 :] or ["nothing"]
            target = draw(st.sampled_from(names if draw(rare) else inner_names))
            inner = {"network": target, "repeat": draw(st.integers(1, 3)), "shared": draw(st.booleans())}
            if draw(st.booleans()):
                inner["values"] = {draw(st.sampled_from(["width", "int", "lambda", "depth"])): draw(EXPRESSIONS)}
            linear = {"units": draw(EXPRESSIONS) if draw(rare) else 8}
            kind = "Subnetwork" if draw(st.booleans()) and inner_names != ["nothing"] else "Linear"
            nodes[f"node_{number}"] = {"type": kind, "params": inner if kind == "Subnetwork" else linear}
            if draw(rare):
                nodes[f"node_{number}"]["shares"] = draw(st.sampled_from(["node_0", "input_1", "node_9"]))
        nodes["output_1"] = {"type": "Output"}
        chain = list(nodes)
        edges = [{"source": start, "target": end} for start, end in pairwise(chain)]
        parameters = {draw(st.sampled_from(["width", "int", "range", "size"])): draw(st.integers(1, 9))}
        network_values[name] = {"nodes": nodes, "edges": edges, "parameters": parameters}
    return {"name": "x", "networks": network_values}


@settings(max_examples=80, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(nested_networks())
def check_nested_networks(value: dict[str, Any]) -> None:
    project = loads(json.dumps(value))
    analysis = analyze(project)
    for issue in analysis.issues:
        assert issue.message
        assert "\n" not in issue.message
    try:
        text = source(project, analysis)
    except CompileError:
        assert analysis.errors
        OUTCOMES["refused"] += 1
        return
    check(text)
    with torch.device("meta"):
        built = module(text)
        answer = built(torch.zeros(2, 8))
    assert answer.shape[0] == 2
    assert sum(weight.numel() for weight in built.parameters()) <= analysis.totals.parameters
    OUTCOMES["built"] += 1


def test_random_nested_networks_are_refused_or_compile() -> None:
    OUTCOMES.clear()
    check_nested_networks()
    assert OUTCOMES["built"] >= 18, OUTCOMES
    assert OUTCOMES["refused"] >= 18, OUTCOMES
