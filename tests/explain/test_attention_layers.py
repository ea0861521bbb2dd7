"""Every attention layer of the catalog: reading its weights, their gradients, and ablating its heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netloom.compile import module
from netloom.explain import applicable, explain_model
from netloom.explain.attention.attention_maps import record_attention
from netloom.explain.attention.head_ablation import scores_without_heads
from netloom.explain.attention.rollout import rollout
from netloom.explain.core.network.attention_capture import capture_attention, trace_attention
from netloom.explain.core.request import ExplanationRequest, build_context
from netloom.layers import Example, registry
from tests.explain.models import source, trained
from tests.layers.test_catalogue import Case, tensors
from tests.networks import chain, project

# Layers in the attention group, or with attention keywords, that have no attention weights.
NONE = {
    "SinusoidalEncoding",
    "RotaryPosition",
    "FeedForward",
    "SwiGLU",
    "GeGLU",
    "SqueezeExcite",
    "MatMul",
    "MaskFill",
    "CausalMask",
    "PaddingMask",
}
# Layers whose output is linear in the attention weights: no norms or feed-forward blocks around them.
BARE = "MultiHead Self MultiQuery GroupedQuery SlidingWindow Rotary Alibi Relative Linear Cross DotProduct Additive"
LINEAR = {*(f"{name}Attention" for name in BARE.split()), "AttentionPooling", "WindowAttention", "GraphAttention"}
LAYERS = [
    name
    for name, layer in registry().items()
    if layer.group == "Attention" or any("attention" in word for word in (name.lower(), *layer.keywords))
]
CASES = [
    pytest.param(name, example, id=f"{name}-{number}")
    for name in LAYERS
    if name not in NONE
    for number, example in enumerate(registry()[name].examples())
]


def isolated_layer(name: str, example: Example) -> tuple[nn.Module, list[torch.Tensor]]:
    """The layer with random weights, in eval mode, and a batch of two; a mask port keeps the first step visible."""
    torch.manual_seed(0)
    case = Case(name, example)
    model = case.module.eval().requires_grad_(False)
    inputs = tensors(name, example, batch=2)
    for index, port in enumerate(registry()[name].model_validate(example.params).inputs()):
        if port.name in ("mask", "adjacency"):
            inputs[index] = (inputs[index] > -0.5).float()
            inputs[index][..., 0] = 1.0
    return model, inputs


@pytest.mark.parametrize(("name", "example"), CASES)
def test_reading_attention_weights_leaves_the_output_unchanged(name: str, example: Example) -> None:
    """Capture keeps the output bit for bit; traced weights (with gradients) reproduce the layer output."""
    model, inputs = isolated_layer(name, example)
    plain = model(*inputs)
    with capture_attention(model) as captured:
        assert torch.equal(model(*inputs), plain)
    with trace_attention(model) as traced:
        torch.testing.assert_close(model(*inputs), plain, atol=1e-5, rtol=1e-5)
    assert captured
    assert list(captured) == list(traced)
    for path, weights in captured.items():
        assert weights.ndim == 4
        torch.testing.assert_close(traced[path], weights, atol=1e-6, rtol=1e-5)
        assert (weights >= 0).all()
        sums = weights.sum(-1)
        assert ((sums - 1).abs().lt(1e-5) | sums.abs().lt(1e-6)).all(), (
            "weights sum to 1, or to 0 where everything is masked"
        )
    assert torch.equal(model(*inputs), plain)
    assert not any("forward" in vars(part) or "attend" in vars(part) for part in model.modules())


@pytest.mark.parametrize(("name", "example"), [case for case in CASES if case.values[0] in LINEAR])
def test_head_ablations_add_up(name: str, example: Example) -> None:
    """As the output is linear in the weights, single-head effects add up to the effect of removing all heads."""
    model, inputs = isolated_layer(name, example)
    with capture_attention(model) as captured:
        plain = model(*inputs)
    ((path, weights),) = captured.items()
    heads = weights.shape[1]

    def without(*removed: int) -> torch.Tensor:
        gate = torch.ones(len(weights), heads)
        gate[:, list(removed)] = 0.0
        with trace_attention(model, {path: gate}):
            output: torch.Tensor = model(*inputs)
        return output

    torch.testing.assert_close(without(), plain, atol=1e-5, rtol=1e-5)
    total_effect = sum((plain - without(head) for head in range(heads)), torch.zeros_like(plain))
    torch.testing.assert_close(total_effect, plain - without(*range(heads)), atol=1e-5, rtol=1e-4)
    assert all(not torch.allclose(without(head), plain, atol=1e-4) for head in range(heads))


def test_non_attention_layers_are_refused_with_a_reason() -> None:
    assert set(LAYERS) >= NONE | LINEAR
    for name in sorted(NONE):
        case = Case(name, registry()[name].examples()[0])
        assert "does not have an attention layer" in applicable(case.document, case.module, "attention"), name


@pytest.mark.parametrize("shift", [False, True])
def test_window_attention_map_matches_jacobian_dependencies(shift: bool) -> None:
    """Position i attends to position j exactly where ∂output_i/∂input_j is not zero."""
    kind, params = "Input", {"kind": "image", "shape": [2, 4, 8]}
    model = module(chain((kind, params), ("WindowAttention", {"heads": 2, "window": 4, "shift": shift}))).eval()
    x = torch.randn(1, 2, 4, 8)
    with capture_attention(model) as captured:
        model(x)
    (weights,) = captured.values()
    differentiate: Any = torch.autograd.functional.jacobian
    jacobian = differentiate(model, x)  # (1, C, H, W, 1, C, H, W)
    sensitivity = jacobian.detach().abs().sum((0, 1, 4, 5)).reshape(32, 32)
    assert torch.equal(sensitivity > 0, weights.detach()[0].sum(0) > 0)
    assert 0 < int((sensitivity > 0).sum()) < 32 * 32


def residual_mean_edges(key: str, source_key: str, *ports: tuple[str, str]) -> list[tuple[str, str]]:
    """The edges of ½ attention + ½ its input."""
    return [*ports, (key, f"{key}_mean.a"), (source_key, f"{key}_mean.b")]


def set_identity_projections(model: nn.Module) -> None:
    """Make the value and output projections the identity without biases, so that a layer computes A times its input."""
    with torch.no_grad():
        for part in model.modules():
            if hasattr(part, "capture"):
                for linear in (part.v, part.out):
                    linear.weight.copy_(torch.eye(len(linear.weight)))  # type: ignore[operator,union-attr,arg-type]
                    linear.bias.zero_()  # type: ignore[operator,union-attr]


def test_rollout_reproduces_linear_attention_network_output() -> None:
    run = trained("transformer")
    kind, params = source("intents")
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "text": (kind, params),
        "embed": ("Embedding", {"vocabulary": params["vocabulary"], "dim": len(run.data.schema.target.classes)}),
        "one": ("MultiHeadAttention", {"heads": 1}),
        "one_mean": ("Average", {}),
        "two": ("SelfAttention", {"heads": 1, "position": "rotary", "window": 4}),
        "two_mean": ("Average", {}),
        "mean": ("Mean", {}),
        "out": ("Output", {}),
    }
    edges = [
        ("text", "embed"),
        *residual_mean_edges("one", "embed", ("embed", "one")),
        *residual_mean_edges("two", "one_mean", ("one_mean", "two")),
    ]
    document = project(nodes, [*edges, ("two_mean", "mean"), ("mean", "out")], data=run.project.data)
    torch.manual_seed(3)
    model = module(document).eval()
    set_identity_projections(model)
    explanation = explain_model(document, model, run.data, "attention", 3)
    assert explanation.attention is not None
    assert explanation.attention.rollout is not None
    inputs = run.data.inputs["text"][3:4]
    with torch.no_grad():
        vectors = model.embed(inputs)[0].double().numpy()  # type: ignore[operator]
        answer = model(inputs)[0].double().numpy()
    np.testing.assert_allclose(explanation.attention.rollout.mean(axis=0) @ vectors, answer, atol=1e-5)
    np.testing.assert_allclose(explanation.attention.rollout.sum(axis=1), 1.0, atol=1e-6)


def test_cross_attention_rollout_reproduces_the_output(dates: Any) -> None:
    """Encoder and decoder: the contributions to an output token are split between both sequences."""
    data, fields = dates.data, dates.data.schema.inputs
    size = fields[1].vocabulary
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"out": ("Output", {})}
    for name, field in zip(("source", "begun"), fields, strict=True):
        params = {"field": field.name, "kind": "tokens", "shape": list(field.shape), "vocabulary": field.vocabulary}
        nodes |= {
            name: ("Input", params),
            f"{name}_embed": ("Embedding", {"vocabulary": field.vocabulary, "dim": size}),
            f"{name}_self": ("MultiHeadAttention", {"heads": 1, "causal": name == "begun"}),
            f"{name}_self_mean": ("Average", {}),
        }
    nodes |= {"cross": ("CrossAttention", {"heads": 1}), "cross_mean": ("Average", {})}
    edges = [(name, f"{name}_embed") for name in ("source", "begun")]
    for name in ("source", "begun"):
        edges += residual_mean_edges(f"{name}_self", f"{name}_embed", (f"{name}_embed", f"{name}_self"))
    ports = (("begun_self_mean", "cross.in"), ("source_self_mean", "cross.memory"))
    edges += [*residual_mean_edges("cross", "begun_self_mean", *ports), ("cross_mean", "out")]
    document = project(nodes, edges, data=dates.project.data, training=dates.project.training)
    torch.manual_seed(4)
    model = module(document).eval()
    set_identity_projections(model)
    context, *_ = build_context(document, model, data, ExplanationRequest("attention", 3, {"position": 4}))
    attention_record = record_attention(context)
    assert attention_record.reason == ""
    total = rollout(attention_record.joined(layer.weights for layer in attention_record.layers))
    maps, parts = attention_record.through(total)
    streams = {stream.field: stream for stream in maps.streams}
    assert set(streams) == set(parts) == {field.name for field in fields}
    with torch.no_grad():
        vectors = np.concatenate(
            [
                getattr(context.model, key)(context.inputs[stream.field])[0].double().numpy()
                for stream in maps.streams
                for key in ("source_embed" if stream.field == fields[0].name else "begun_embed",)
            ]
        )
        answer = context.forward(context.inputs)[0].double().numpy()
    (row,) = maps.output_rows
    np.testing.assert_allclose(total[row] @ vectors, answer[4], atol=1e-5)
    np.testing.assert_allclose(total.sum(axis=1), 1.0, atol=1e-6)


@pytest.fixture(scope="module")
def dates() -> Any:
    """A date-translation template and its data, without a trained network."""
    from types import SimpleNamespace

    from netloom.data import prepare
    from netloom.templates import templates

    document = templates()["dates_transformer"].project
    return SimpleNamespace(project=document, data=prepare(document.data))


@pytest.mark.parametrize(
    "layer",
    [
        ("MultiHeadAttention", {"heads": 2}),
        ("SelfAttention", {"heads": 5, "kv_heads": 1, "position": "alibi"}),
        ("LinearAttention", {"heads": 2}),
        ("AttentionPooling", {"hidden": 4}),
    ],
)
def test_head_effects_sum_to_the_score_when_linear(layer: tuple[str, dict[str, Any]]) -> None:
    """In a linear network, ablating a head equals gradient times weights, and all heads sum to Σ A ∂y/∂A = y."""
    run = trained("transformer")
    kind, params = source("intents")
    embedding = ("Embedding", {"vocabulary": params["vocabulary"], "dim": len(run.data.schema.target.classes)})
    layers_after: list[tuple[str, dict[str, Any]]] = [] if layer[0] == "AttentionPooling" else [("Mean", {})]
    document = chain((kind, params), embedding, layer, *layers_after, data=run.project.data)
    torch.manual_seed(1)
    model = module(document).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and "project" not in name:
                parameter.zero_()
    explanation = explain_model(document, model, run.data, "attention_heads", 3)
    assert explanation.attention is not None
    (only,) = explanation.attention.layers
    assert only.effects is not None
    assert only.slopes is not None
    np.testing.assert_allclose(only.effects, only.slopes, rtol=1e-4, atol=1e-6)
    assert only.effects.sum() == pytest.approx(explanation.score, rel=1e-4)


def test_head_ablation_equals_zeroed_output_projection() -> None:
    """Compared with the same network whose output projection ignores that head."""
    run = trained("transformer")
    context, *_ = build_context(run.project, run.model, run.data, ExplanationRequest("attention_heads", 3))
    attention_record = record_attention(context)
    removed = np.zeros((2, 4), dtype=bool)
    removed[1, 3] = True  # the second head of the second layer
    whole, without = scores_without_heads(context, attention_record, removed)
    assert whole == pytest.approx(float(context.score(context.inputs)), abs=1e-5)
    last: Any = context.model.get_submodule(attention_record.layers[1].name)
    last.out.weight.data[:, 8:] = 0.0
    assert without == pytest.approx(float(context.score(context.inputs)), abs=1e-5)
    assert abs(whole - without) > 1e-3
