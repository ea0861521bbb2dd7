"""Every layer of the catalogue, by the same tests: a new layer gets them by being declared."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import pytest
import torch
from torch import nn

from netloom.compile import module, source
from netloom.document import Node, Project, dumps, loads
from netloom.layers import GROUPS, Call, Example, Layer, ParameterError, TensorSpec, form, parse, registry, resolve
from netloom.layers.author_code import ALLOW
from netloom.layers.io import Input, Output
from netloom.layers.layer import SAMPLES, Kind
from netloom.layers.probability import Probabilities
from netloom.validation import Analysis, analyse
from netloom.validation.context import fits
from netloom.validation.measure import measure
from tests.networks import project

# What stands for the two types that a tensor on an edge may have.
TYPES = {torch.float32: "float", torch.int64: "int"}


def input_params(spec: TensorSpec, high: int = 1_000) -> dict[str, Any]:
    """The parameters of an Input that gives such a tensor."""
    kind = spec.kind if spec.kind != "any" else "tensor" if spec.dtype == "float" else "indices"
    return {"kind": kind, "shape": list(spec.shape[1:]), "vocabulary": high if kind == "tokens" else None}


def around(name: str, example: Example) -> Project:
    """The layer fed as its example says, with an Output at each of its ports."""
    layer = parse(Node(id="layer_1", type=name, params=dict(example.params)))
    assert {port.name for port in layer.inputs()} == set(example.inputs)
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layer_1": (name, dict(example.params))}
    edges = []
    for number, port in enumerate(layer.inputs(), 1):
        nodes[f"input_{number}"] = ("Input", input_params(example.inputs[port.name], example.high))
        edges.append((f"input_{number}", f"layer_1.{port.name}"))
    for number, port in enumerate(layer.outputs(), 1):
        nodes[f"output_{number}"] = ("Output", {"name": port.name})
        edges.append((f"layer_1.{port.name}", f"output_{number}"))
    return project(nodes, edges)


def tensors(name: str, example: Example, batch: int = 3) -> list[torch.Tensor]:
    """Inputs in the order of the ports."""
    specs = [example.inputs[port.name] for port in registry()[name].model_validate(example.params).inputs()]
    shapes = [(batch, *(spec.size(axis) for axis in range(1, len(spec.shape)))) for spec in specs]
    return [
        torch.randint(0, example.high, shape) if spec.dtype == "int" else torch.randn(shape)
        for spec, shape in zip(specs, shapes, strict=True)
    ]


def run(built: nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    result = built(*inputs)
    return list(result) if isinstance(result, tuple) else [result]


@dataclass(eq=False)
class Case:
    """A layer and an example of it. What most tests here look at is worked out once."""

    name: str
    example: Example

    @cached_property
    def document(self) -> Project:
        return around(self.name, self.example)

    @cached_property
    def analysis(self) -> Analysis:
        return analyse(self.document)

    @cached_property
    def source(self) -> str:
        return source(self.document, without_nothing_to_learn(self.analysis))

    @cached_property
    def module(self) -> nn.Module:
        return module(self.source)

    def tensors(self) -> list[torch.Tensor]:
        return tensors(self.name, self.example)


INNER = [name for name, layer in registry().items() if not issubclass(layer, (Input, Output))]
CASES = [
    pytest.param(Case(name, example), id=f"{name}-{number}")
    for name in INNER
    for number, example in enumerate(registry()[name].examples())
]


@pytest.mark.parametrize("name", list(registry()))
def test_declaration_is_complete(name: str) -> None:
    layer = registry()[name]
    assert layer.group in GROUPS
    assert all((layer.title, layer.summary, layer.__doc__))
    assert not layer.summary.endswith(".")
    assert isinstance(layer().brief(), str)
    for item in form(layer):
        assert item.description, f"{name}.{item.name} has no description"
        if item.kind in ("int", "float"):
            assert None not in (item.minimum, item.maximum), f"{name}.{item.name} has no bounds"
    ports = [port.name for port in (*layer().inputs(), *layer().outputs())]
    assert len(set(ports) - {""}) == len(ports)
    json.dumps(layer.model_json_schema())


def json_gives_the_same_layer(case: Case) -> None:
    document = case.document
    assert loads(dumps(document)) == document
    layer = parse(document.main_network.nodes["layer_1"])
    again = parse(Node(id="layer_1", type=case.name, params=json.loads(layer.model_dump_json())))
    assert again == layer


def meta_shape_is_the_real_shape(case: Case) -> None:
    analysis = case.analysis
    assert not analysis.errors or {issue.code for issue in analysis.errors} == {"nothing_to_learn"}
    outputs = run(case.module, case.tensors())
    facts = analysis.nodes["layer_1"]
    assert [output.is_floating_point() for output in outputs] == [
        spec.dtype == "float" for spec in facts.outputs.values()
    ]
    assert [tuple(output.shape) for output in outputs] == [(3, *spec.shape[1:]) for spec in facts.outputs.values()]
    assert facts.parameters == sum(parameter.numel() for parameter in case.module.parameters())


def examples_of_a_batch_stay_apart(case: Case) -> None:
    built = case.module.eval()
    inputs = case.tensors()
    together = run(built, inputs)
    alone = run(built, [value[1:2] for value in inputs])
    for one, all_ in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], all_[1], rtol=1e-4, atol=1e-5)


def code_gives_equal_outputs(case: Case) -> None:
    text = case.source
    assert "netloom" not in text
    space: dict[str, Any] = {}
    exec(compile(text, "model.py", "exec"), space)
    one, other = case.module.eval(), space["Main"]().eval()
    buffer = io.BytesIO()
    torch.save(one.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    inputs = case.tensors()
    for mine, theirs in zip(run(one, inputs), run(other, inputs), strict=True):
        assert torch.equal(mine, theirs)


def gradients_flow_and_a_step_is_taken(case: Case) -> None:
    built = case.module.train()
    inputs = [value.requires_grad_() if value.is_floating_point() else value for value in case.tensors()]
    loss = sum((output * torch.randn_like(output)).sum() for output in run(built, inputs))
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    given = [value for value in inputs if value.requires_grad]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in given)
    parameters = list(built.parameters())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    if parameters:
        before = copy.deepcopy(built.state_dict())
        torch.optim.SGD(parameters, lr=0.1).step()
        assert any(not torch.equal(before[key], value) for key, value in built.state_dict().items())


def types_and_shapes_hold_in_both_modes(case: Case) -> None:
    """Of real and of whole numbers alike, a layer gives what is promised, in training and after it, or is refused."""
    layer = parse(case.document.main_network.nodes["layer_1"])
    ports = layer.inputs()
    own = tuple(case.example.inputs[port.name].dtype for port in ports)
    kinds: tuple[Literal["float", "int"], ...] = ("float", "int")
    one_other = [(*own[:place], kind, *own[place + 1 :]) for place in range(len(own)) for kind in kinds]
    for types in dict.fromkeys([own, *one_other, *((kind,) * len(own) for kind in kinds)]):
        specs = {port.name: replace(case.example.inputs[port.name], dtype=kind) for port, kind in zip(
            ports, types, strict=True)}  # fmt: skip
        promised = measure(layer, tuple(specs.items()))
        if promised.refusal is not None or not all(fits(specs[port.name], port.kinds) for port in ports):
            assert types != own
            continue
        built = layer.build(specs).build()
        inputs = tensors(case.name, replace(case.example, inputs=specs, high=min(case.example.high, 4)))
        for training in (True, False):
            found = run(built.train(training), inputs)
            assert [(TYPES[one.dtype], tuple(one.shape)) for one in found] == [
                (spec.dtype, (3, *spec.shape[1:])) for spec in promised.outputs.values()
            ], f"{types}, training={training}"


def is_distribution(value: torch.Tensor, axis: int) -> bool:
    sums = value.sum(axis)
    return value.shape[axis] > 1 and bool((value >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4)


def holds(says: Probabilities, output: torch.Tensor) -> bool:
    """Whether an output is what a layer says of it."""
    value = output.exp() if says.log else output
    if says.family == "sigmoid":
        return bool(((value >= 0) & (value <= 1)).all())
    return is_distribution(value, says.axis) or value.shape[says.axis] == 1


def given_probabilities(spec: TensorSpec) -> Iterator[Probabilities]:
    """What a tensor of this shape might be."""
    for log in (False, True):
        yield Probabilities("sigmoid", log=log)
        for axis in range(1, len(spec.shape)):
            yield Probabilities("softmax", axis, log)


def probabilities_are_what_is_said_of_them(case: Case) -> None:
    """A layer that makes probabilities says so, and one that says so of what passes keeps its word."""
    layer = parse(case.document.main_network.nodes["layer_1"])
    specs, facts = dict(case.example.inputs), case.analysis.nodes["layer_1"]
    if len(facts.outputs) != 1 or any(spec.dtype == "int" for spec in (*specs.values(), *facts.outputs.values())):
        assert not layer.makes_probabilities
        return
    (out,), built = facts.outputs.values(), layer.build(specs).build().eval()
    made, says = [run(built, case.tensors())[0] for _ in range(2)], layer.probabilities({}, specs, out)
    assert (says is not None) == layer.makes_probabilities
    if says is not None:
        assert all(holds(says, value) for value in made)
        return
    axes = range(1, made[0].dim())
    assert not any(all(is_distribution(value, axis) for value in made) for axis in axes), "it makes probabilities"
    if type(layer).probabilities is Layer.probabilities:
        return
    for given in given_probabilities(next(iter(specs.values()))):
        says = layer.probabilities(dict.fromkeys(specs, given), specs, out)
        if says is None:
            continue
        x = [torch.randn(3, *(spec.size(axis) for axis in range(1, len(spec.shape)))) for spec in specs.values()]
        values = [one.sigmoid() if given.family == "sigmoid" else one.softmax(given.axis) for one in x]
        output = run(built, [value.log() if given.log else value for value in values])[0]
        assert holds(says, output), f"{given} becomes {says}"
        if says.removable and says.log == given.log:  # the same is said of logits, before they become probabilities
            moved = run(built, x)[0]
            again = moved.sigmoid() if says.family == "sigmoid" else moved.softmax(says.axis)
            torch.testing.assert_close(again.log() if says.log else again, output)


@pytest.mark.parametrize("case", CASES)
def test_a_layer_is_what_it_says(case: Case) -> None:
    """All that is looked at with one module, in one test: what a test costs is more than most of the looks."""
    torch.default_generator.manual_seed(0)
    json_gives_the_same_layer(case)
    meta_shape_is_the_real_shape(case)
    examples_of_a_batch_stay_apart(case)
    code_gives_equal_outputs(case)
    types_and_shapes_hold_in_both_modes(case)
    probabilities_are_what_is_said_of_them(case)
    if registry()[case.name].differentiable:  # what chooses has no gradient
        gradients_flow_and_a_step_is_taken(case)


@pytest.mark.parametrize("name", INNER)
def test_unknown_and_mistyped_parameters_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")  # free Python is refused before its parameters are looked at
    with pytest.raises(ParameterError, match="surprise"):
        parse(Node(id="layer_1", type=name, params={"surprise": 1}))
    for item in form(registry()[name]):
        with pytest.raises(ParameterError, match=item.name):
            parse(Node(id="layer_1", type=name, params={item.name: {"nested": True}}))
        if item.kind == "int" and item.maximum is not None:
            with pytest.raises(ParameterError, match=item.name):
                parse(Node(id="layer_1", type=name, params={item.name: int(item.maximum) + 1}))


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ParameterError, match="no layer"):
        parse(Node(id="x_1", type="os.system", params={}))


@pytest.mark.parametrize("target", ["nn.functional", "os.system", "nn.Nothing", "nn", "", "torch.load", "nn.Module.to"])
def test_only_modules_resolve(target: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        resolve(target)


@pytest.mark.parametrize("value", [[1], {"a": 1}, object(), torch.ones(1), (1, [2])])
def test_only_literals_are_written(value: Any) -> None:
    with pytest.raises(TypeError, match="literal"):
        Call("nn.Linear", (value,)).source()


# Published counts: torchvision's and Keras's documentation of these shapes.
@pytest.mark.parametrize(
    ("name", "params", "kind", "count"),
    [
        ("Linear", {"units": 10}, "vector", 12 * 10 + 10),
        ("Linear", {"units": 10, "bias": False}, "vector", 12 * 10),
        ("Conv2d", {"filters": 32}, "image", 4 * 32 * 9 + 32),
        ("Conv1d", {"filters": 32, "kernel_size": 5}, "sequence", 8 * 32 * 5 + 32),
        ("LSTM", {"hidden_size": 20}, "sequence", 4 * (20 * 16 + 20 * 20 + 2 * 20)),
        ("GRU", {"hidden_size": 20}, "sequence", 3 * (20 * 16 + 20 * 20 + 2 * 20)),
        ("LSTM", {"hidden_size": 20, "bidirectional": True}, "sequence", 8 * (20 * 16 + 20 * 20 + 2 * 20)),
        ("MultiHeadAttention", {}, "sequence", 4 * (16 * 16 + 16)),
        ("BatchNorm2d", {}, "image", 2 * 4),
        ("LayerNorm", {}, "sequence", 2 * 16),
        ("Embedding", {"vocabulary": 1000, "dim": 8}, "tokens", 8000),
    ],
)
def test_parameter_counts_follow_the_formulas(name: str, params: dict[str, Any], kind: Kind, count: int) -> None:
    document = project(
        {"input_1": ("Input", input_params(SAMPLES[kind])), "layer_1": (name, params), "output_1": ("Output", {})},
        [("input_1", "layer_1"), ("layer_1", "output_1")],
    )
    assert analyse(document).nodes["layer_1"].parameters == count


@pytest.mark.parametrize(
    ("name", "params", "kind", "flops"),
    [
        ("Linear", {"units": 10}, "vector", 2 * 12 * 10),
        ("Conv2d", {"filters": 32}, "image", 2 * 32 * 8 * 8 * 4 * 9),
        ("ReLU", {}, "vector", 0),
    ],
)
def test_flops_follow_the_formulas(name: str, params: dict[str, Any], kind: Kind, flops: int) -> None:
    document = project(
        {"input_1": ("Input", input_params(SAMPLES[kind])), "layer_1": (name, params), "output_1": ("Output", {})},
        [("input_1", "layer_1"), ("layer_1", "output_1")],
    )
    assert analyse(document).nodes["layer_1"].flops == flops


def without_nothing_to_learn(analysis: Analysis) -> Analysis:
    """Here a layer stands alone, and most have nothing to learn; any other error is one."""
    return replace(analysis, issues=[issue for issue in analysis.issues if issue.code != "nothing_to_learn"])
