"""The same tests for every layer of the catalog; a new layer is covered as soon as it is declared."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Iterator
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
from netloom.validation import Analysis, analyze
from netloom.validation.context import fits
from netloom.validation.measure import measure
from tests.networks import project

# Dtypes that represent the two types of a tensor on an edge.
TYPES = {torch.float32: "float", torch.int64: "int"}


def input_params(spec: TensorSpec, high: int = 1_000) -> dict[str, Any]:
    """The parameters of an Input that outputs such a tensor."""
    kind = spec.kind if spec.kind != "any" else "tensor" if spec.dtype == "float" else "indices"
    return {"kind": kind, "shape": list(spec.shape[1:]), "vocabulary": high if kind == "tokens" else None}


def document_with_layer(name: str, example: Example) -> Project:
    """A document with the layer, the inputs of its example and an Output at each of its ports."""
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


def run(model: nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    result = model(*inputs)
    return list(result) if isinstance(result, tuple) else [result]


@dataclass(eq=False)
class Case:
    """A layer and an example of it, with cached document, analysis, source and module."""

    name: str
    example: Example

    @cached_property
    def document(self) -> Project:
        return document_with_layer(self.name, self.example)

    @cached_property
    def analysis(self) -> Analysis:
        return analyze(self.document)

    @cached_property
    def source(self) -> str:
        return source(self.document, without_nothing_to_learn_issue(self.analysis))

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


def cases_of(has: Callable[[type[Layer]], bool]) -> list[Any]:
    """The cases of the layers with a property."""
    return [param for param in CASES if isinstance(case := param.values[0], Case) and has(registry()[case.name])]


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


def check_json_round_trip(case: Case) -> None:
    document = case.document
    assert loads(dumps(document)) == document
    layer = parse(document.main_network.nodes["layer_1"])
    parsed = parse(Node(id="layer_1", type=case.name, params=json.loads(layer.model_dump_json())))
    assert parsed == layer


def check_meta_shapes(case: Case) -> None:
    analysis = case.analysis
    assert not analysis.errors or {issue.code for issue in analysis.errors} == {"nothing_to_learn"}
    outputs = run(case.module, case.tensors())
    facts = analysis.nodes["layer_1"]
    assert [output.is_floating_point() for output in outputs] == [
        spec.dtype == "float" for spec in facts.outputs.values()
    ]
    assert [tuple(output.shape) for output in outputs] == [(3, *spec.shape[1:]) for spec in facts.outputs.values()]
    assert facts.parameters == sum(parameter.numel() for parameter in case.module.parameters())


def check_examples_are_independent(case: Case) -> None:
    model = case.module.eval()
    inputs = case.tensors()
    batch_outputs = run(model, inputs)
    single_outputs = run(model, [value[1:2] for value in inputs])
    for single, batched in zip(single_outputs, batch_outputs, strict=True):
        torch.testing.assert_close(single[0], batched[1], rtol=1e-4, atol=1e-5)


def check_source_gives_equal_outputs(case: Case) -> None:
    text = case.source
    assert "netloom" not in text
    namespace: dict[str, Any] = {}
    exec(compile(text, "model.py", "exec"), namespace)
    model, model_from_source = case.module.eval(), namespace["Main"]().eval()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    model_from_source.load_state_dict(torch.load(buffer, weights_only=True))
    inputs = case.tensors()
    for actual, expected in zip(run(model, inputs), run(model_from_source, inputs), strict=True):
        assert torch.equal(actual, expected)


def check_gradients_and_optimizer_step(case: Case) -> None:
    model = case.module.train()
    inputs = [value.requires_grad_() if value.is_floating_point() else value for value in case.tensors()]
    loss = sum((output * torch.randn_like(output)).sum() for output in run(model, inputs))
    assert isinstance(loss, torch.Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    float_inputs = [value for value in inputs if value.requires_grad]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in float_inputs)
    parameters = list(model.parameters())
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    if parameters:
        before = copy.deepcopy(model.state_dict())
        torch.optim.SGD(parameters, lr=0.1).step()
        assert any(not torch.equal(before[key], value) for key, value in model.state_dict().items())


def check_dtypes_and_shapes_in_both_modes(case: Case) -> None:
    """For float and integer inputs in both modes, outputs match the measurement, or the inputs are refused."""
    layer = parse(case.document.main_network.nodes["layer_1"])
    ports = layer.inputs()
    example_dtypes = tuple(case.example.inputs[port.name].dtype for port in ports)
    kinds: tuple[Literal["float", "int"], ...] = ("float", "int")
    one_changed = [
        (*example_dtypes[:port_index], kind, *example_dtypes[port_index + 1 :])
        for port_index in range(len(example_dtypes))
        for kind in kinds
    ]
    for types in dict.fromkeys([example_dtypes, *one_changed, *((kind,) * len(example_dtypes) for kind in kinds)]):
        specs = {port.name: replace(case.example.inputs[port.name], dtype=kind) for port, kind in zip(
            ports, types, strict=True)}  # fmt: skip
        measured = measure(layer, tuple(specs.items()))
        if measured.refusal is not None or not all(fits(specs[port.name], port.kinds) for port in ports):
            assert types != example_dtypes
            continue
        model = layer.build(specs).build()
        inputs = tensors(case.name, replace(case.example, inputs=specs, high=min(case.example.high, 4)))
        for training in (True, False):
            outputs = run(model.train(training), inputs)
            assert [(TYPES[output.dtype], tuple(output.shape)) for output in outputs] == [
                (spec.dtype, (3, *spec.shape[1:])) for spec in measured.outputs.values()
            ], f"{types}, training={training}"


def is_distribution(value: torch.Tensor, axis: int) -> bool:
    sums = value.sum(axis)
    return value.shape[axis] > 1 and bool((value >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4)


def matches_declaration(declared: Probabilities, output: torch.Tensor) -> bool:
    """Whether an output matches the layer's declaration."""
    value = output.exp() if declared.log else output
    if declared.family == "sigmoid":
        return bool(((value >= 0) & (value <= 1)).all())
    return is_distribution(value, declared.axis) or value.shape[declared.axis] == 1


def possible_declarations(spec: TensorSpec) -> Iterator[Probabilities]:
    """Every declaration that is possible for a tensor of this shape."""
    for log in (False, True):
        yield Probabilities("sigmoid", log=log)
        for axis in range(1, len(spec.shape)):
            yield Probabilities("softmax", axis, log)


def check_declared_probabilities(case: Case) -> None:
    """A layer that outputs probabilities declares it, and its declarations about its inputs hold."""
    layer = parse(case.document.main_network.nodes["layer_1"])
    specs, facts = dict(case.example.inputs), case.analysis.nodes["layer_1"]
    if len(facts.outputs) != 1 or any(spec.dtype == "int" for spec in (*specs.values(), *facts.outputs.values())):
        assert not layer.makes_probabilities
        return
    (out,), model = facts.outputs.values(), layer.build(specs).build().eval()
    outputs, declared = [run(model, case.tensors())[0] for _ in range(2)], layer.probabilities({}, specs, out)
    assert (declared is not None) == layer.makes_probabilities
    if declared is not None:
        assert all(matches_declaration(declared, value) for value in outputs)
        return
    axes = range(1, outputs[0].dim())
    assert not any(all(is_distribution(value, axis) for value in outputs) for axis in axes), "it makes probabilities"
    if type(layer).probabilities is Layer.probabilities:
        return
    for input_declaration in possible_declarations(next(iter(specs.values()))):
        declared = layer.probabilities(dict.fromkeys(specs, input_declaration), specs, out)
        if declared is None:
            continue
        x = [torch.randn(3, *(spec.size(axis) for axis in range(1, len(spec.shape)))) for spec in specs.values()]
        values = [
            tensor.sigmoid() if input_declaration.family == "sigmoid" else tensor.softmax(input_declaration.axis)
            for tensor in x
        ]
        output = run(model, [value.log() if input_declaration.log else value for value in values])[0]
        assert matches_declaration(declared, output), f"{input_declaration} becomes {declared}"
        if (
            declared.removable and declared.log == input_declaration.log
        ):  # the declaration also applies to logits, before the activation
            logits = run(model, x)[0]
            recomputed = logits.sigmoid() if declared.family == "sigmoid" else logits.softmax(declared.axis)
            torch.testing.assert_close(recomputed.log() if declared.log else recomputed, output)


@pytest.mark.parametrize("case", CASES)
def test_layer_matches_its_declaration(case: Case) -> None:
    """All checks of a module in one test, because the overhead of a test exceeds most of the checks."""
    torch.default_generator.manual_seed(0)
    check_json_round_trip(case)
    check_meta_shapes(case)
    check_examples_are_independent(case)
    check_source_gives_equal_outputs(case)
    check_dtypes_and_shapes_in_both_modes(case)
    check_declared_probabilities(case)
    if registry()[case.name].differentiable:  # selections have no gradient
        check_gradients_and_optimizer_step(case)


@pytest.mark.parametrize("case", cases_of(lambda layer: layer.is_linear))
def test_linear_layer_is_affine_in_evaluation(case: Case) -> None:
    """The mean of two inputs gives the mean of their outputs; integers are constants."""
    first = case.tensors()
    second = [torch.randn_like(values) if values.is_floating_point() else values for values in first]
    middle = [(one + two) / 2 if one.is_floating_point() else one for one, two in zip(first, second, strict=True)]
    model = module(case.source).eval()
    with torch.no_grad():
        outputs = [run(model, inputs) for inputs in (first, second, middle)]
    for one, two, mean in zip(*outputs, strict=True):
        torch.testing.assert_close(mean, (one + two) / 2, atol=1e-4, rtol=1e-4, check_dtype=False)


@pytest.mark.parametrize("case", cases_of(lambda layer: layer.is_embedding))
def test_embedding_has_a_vector_for_each_token(case: Case) -> None:
    (tokens,) = case.tensors()
    (vectors,) = run(case.module, [tokens])
    assert not tokens.is_floating_point()
    assert vectors.is_floating_point()
    assert vectors.shape[:2] == tokens.shape


@pytest.mark.parametrize("name", INNER)
def test_unknown_and_mistyped_parameters_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")  # otherwise Code is refused before its parameters are checked
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
def test_only_modules_can_be_resolved(target: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        resolve(target)


@pytest.mark.parametrize("value", [[1], {"a": 1}, object(), torch.ones(1), (1, [2])])
def test_only_literals_can_be_written_as_source(value: Any) -> None:
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
def test_parameter_counts_match_the_formulas(name: str, params: dict[str, Any], kind: Kind, count: int) -> None:
    document = project(
        {"input_1": ("Input", input_params(SAMPLES[kind])), "layer_1": (name, params), "output_1": ("Output", {})},
        [("input_1", "layer_1"), ("layer_1", "output_1")],
    )
    assert analyze(document).nodes["layer_1"].parameters == count


@pytest.mark.parametrize(
    ("name", "params", "kind", "flops"),
    [
        ("Linear", {"units": 10}, "vector", 2 * 12 * 10),
        ("Conv2d", {"filters": 32}, "image", 2 * 32 * 8 * 8 * 4 * 9),
        ("ReLU", {}, "vector", 0),
    ],
)
def test_flops_match_the_formulas(name: str, params: dict[str, Any], kind: Kind, flops: int) -> None:
    document = project(
        {"input_1": ("Input", input_params(SAMPLES[kind])), "layer_1": (name, params), "output_1": ("Output", {})},
        [("input_1", "layer_1"), ("layer_1", "output_1")],
    )
    assert analyze(document).nodes["layer_1"].flops == flops


def without_nothing_to_learn_issue(analysis: Analysis) -> Analysis:
    """Drop the issue nothing_to_learn, which is expected of a single layer; keep all others."""
    return replace(analysis, issues=[issue for issue in analysis.issues if issue.code != "nothing_to_learn"])
