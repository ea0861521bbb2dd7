"""Every attention layer of the catalogue: its weights are read as they are, with a gradient, and head by head."""

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
from netloom.explain.core.run import ExplanationRequest, build_context
from netloom.layers import Example, registry
from tests.explain.models import source, trained
from tests.layers.test_catalogue import Case, tensors
from tests.networks import chain, project

# Layers that stand among those of attention, or are called so, and yet look from nothing to nothing.
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
# Those whose output is linear in the weights, without norms and feed-forward pairs around them.
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


def alone(name: str, example: Example) -> tuple[nn.Module, list[torch.Tensor]]:
    """The layer with random weights, in evaluation, and two rows for it; a mask hides the last step."""
    torch.manual_seed(0)
    case = Case(name, example)
    model = case.module.eval().requires_grad_(False)
    rows = tensors(name, example, batch=2)
    for place, port in enumerate(registry()[name].model_validate(example.params).inputs()):
        if port.name in ("mask", "adjacency"):
            rows[place] = (rows[place] > -0.5).float()
            rows[place][..., 0] = 1.0
    return model, rows


@pytest.mark.parametrize(("name", "example"), CASES)
def test_reading_the_weights_changes_nothing(name: str, example: Example) -> None:
    """Not a bit where they are captured; with a gradient, what they make is the layer's own output."""
    model, rows = alone(name, example)
    plain = model(*rows)
    with capture_attention(model) as kept:
        assert torch.equal(model(*rows), plain)
    with trace_attention(model) as read:
        torch.testing.assert_close(model(*rows), plain, atol=1e-5, rtol=1e-5)
    assert kept
    assert list(kept) == list(read)
    for path, weights in kept.items():
        assert weights.ndim == 4
        torch.testing.assert_close(read[path], weights, atol=1e-6, rtol=1e-5)
        assert (weights >= 0).all()
        sums = weights.sum(-1)
        assert ((sums - 1).abs().lt(1e-5) | sums.abs().lt(1e-6)).all(), "all of it, or nothing where nothing is seen"
    assert torch.equal(model(*rows), plain)
    assert not any("forward" in vars(part) or "attend" in vars(part) for part in model.modules())


@pytest.mark.parametrize(("name", "example"), [case for case in CASES if case.values[0] in LINEAR])
def test_heads_are_taken_away_one_by_one(name: str, example: Example) -> None:
    """Without all heads the output is what it is without each, added up, as it is linear in the weights."""
    model, rows = alone(name, example)
    with capture_attention(model) as kept:
        plain = model(*rows)
    ((path, weights),) = kept.items()
    heads = weights.shape[1]

    def without(*gone: int) -> torch.Tensor:
        gate = torch.ones(len(weights), heads)
        gate[:, list(gone)] = 0.0
        with trace_attention(model, {path: gate}):
            found: torch.Tensor = model(*rows)
        return found

    torch.testing.assert_close(without(), plain, atol=1e-5, rtol=1e-5)
    each = sum((plain - without(head) for head in range(heads)), torch.zeros_like(plain))
    torch.testing.assert_close(each, plain - without(*range(heads)), atol=1e-5, rtol=1e-4)
    assert all(not torch.allclose(without(head), plain, atol=1e-4) for head in range(heads))


def test_what_is_no_attention_is_refused_with_the_reason() -> None:
    assert set(LAYERS) >= NONE | LINEAR
    for name in sorted(NONE):
        case = Case(name, registry()[name].examples()[0])
        assert "does not have an attention layer" in applicable(case.document, case.module, "attention"), name


@pytest.mark.parametrize("shift", [False, True])
def test_a_map_of_windows_shows_what_each_place_depends_on(shift: bool) -> None:
    """Place i looks at place j exactly where its output changes with j; by the derivative, which knows no windows."""
    kind, params = "Input", {"kind": "image", "shape": [2, 4, 8]}
    built = module(chain((kind, params), ("WindowAttention", {"heads": 2, "window": 4, "shift": shift}))).eval()
    x = torch.randn(1, 2, 4, 8)
    with capture_attention(built) as kept:
        built(x)
    (weights,) = kept.values()
    differentiate: Any = torch.autograd.functional.jacobian
    jacobian = differentiate(built, x)  # (1, C, H, W, 1, C, H, W)
    moved = jacobian.detach().abs().sum((0, 1, 4, 5)).reshape(32, 32)
    assert torch.equal(moved > 0, weights.detach()[0].sum(0) > 0)
    assert 0 < int((moved > 0).sum()) < 32 * 32


def halves(key: str, source_key: str, *ports: tuple[str, str]) -> list[tuple[str, str]]:
    """The edges of ½ attention + ½ what came in."""
    return [*ports, (key, f"{key}_mean.a"), (source_key, f"{key}_mean.b")]


def plain_attention(model: nn.Module) -> None:
    """Values and outputs as they come, without constants: what a layer gives is A times what it sees."""
    with torch.no_grad():
        for part in model.modules():
            if hasattr(part, "capture"):
                for linear in (part.v, part.out):
                    linear.weight.copy_(torch.eye(len(linear.weight)))  # type: ignore[operator,union-attr,arg-type]
                    linear.bias.zero_()  # type: ignore[operator,union-attr]


def test_rollout_of_a_linear_network_of_attention_alone_reproduces_its_output() -> None:
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
        *halves("one", "embed", ("embed", "one")),
        *halves("two", "one_mean", ("one_mean", "two")),
    ]
    made = project(nodes, [*edges, ("two_mean", "mean"), ("mean", "out")], data=run.project.data)
    torch.manual_seed(3)
    model = module(made).eval()
    plain_attention(model)
    found = explain_model(made, model, run.data, "attention", 3)
    assert found.attention is not None
    assert found.attention.rollout is not None
    inputs = run.data.inputs["text"][3:4]
    with torch.no_grad():
        vectors = model.embed(inputs)[0].double().numpy()  # type: ignore[operator]
        answer = model(inputs)[0].double().numpy()
    np.testing.assert_allclose(found.attention.rollout.mean(axis=0) @ vectors, answer, atol=1e-5)
    np.testing.assert_allclose(found.attention.rollout.sum(axis=1), 1.0, atol=1e-6)


def test_rollout_over_two_sequences_reproduces_the_output_too(dates: Any) -> None:
    """Encoder and decoder side by side: what a token of the answer is made of is shared out among both."""
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
        edges += halves(f"{name}_self", f"{name}_embed", (f"{name}_embed", f"{name}_self"))
    ports = (("begun_self_mean", "cross.in"), ("source_self_mean", "cross.memory"))
    edges += [*halves("cross", "begun_self_mean", *ports), ("cross_mean", "out")]
    made = project(nodes, edges, data=dates.project.data, training=dates.project.training)
    torch.manual_seed(4)
    model = module(made).eval()
    plain_attention(model)
    context, *_ = build_context(made, model, data, ExplanationRequest("attention", 3, {"position": 4}))
    looked = record_attention(context)
    assert looked.reason == ""
    total = rollout(looked.joined(layer.weights for layer in looked.layers))
    maps, parts = looked.through(total)
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
    (row,) = maps.read
    np.testing.assert_allclose(total[row] @ vectors, answer[4], atol=1e-5)
    np.testing.assert_allclose(total.sum(axis=1), 1.0, atol=1e-6)


@pytest.fixture(scope="module")
def dates() -> Any:
    """Dates, that are read by one field and written by another, without a trained network."""
    from types import SimpleNamespace

    from netloom.data import prepare
    from netloom.templates import templates

    made = templates()["dates_transformer"].project
    return SimpleNamespace(project=made, data=prepare(made.data))


@pytest.mark.parametrize(
    "layer",
    [
        ("MultiHeadAttention", {"heads": 2}),
        ("SelfAttention", {"heads": 5, "kv_heads": 1, "position": "alibi"}),
        ("LinearAttention", {"heads": 2}),
        ("AttentionPooling", {"hidden": 4}),
    ],
)
def test_the_heads_of_a_network_that_is_linear_in_them_add_up_to_the_answer(layer: tuple[str, dict[str, Any]]) -> None:
    """Taking a head away says the same there as its gradient, and all heads are the answer: Σ A ∂y/∂A = y."""
    run = trained("transformer")
    kind, params = source("intents")
    embedding = ("Embedding", {"vocabulary": params["vocabulary"], "dim": len(run.data.schema.target.classes)})
    rest: list[tuple[str, dict[str, Any]]] = [] if layer[0] == "AttentionPooling" else [("Mean", {})]
    made = chain((kind, params), embedding, layer, *rest, data=run.project.data)
    torch.manual_seed(1)
    model = module(made).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and "project" not in name:
                parameter.zero_()
    found = explain_model(made, model, run.data, "attention_heads", 3)
    assert found.attention is not None
    (only,) = found.attention.layers
    assert only.effects is not None
    assert only.slopes is not None
    np.testing.assert_allclose(only.effects, only.slopes, rtol=1e-4, atol=1e-6)
    assert only.effects.sum() == pytest.approx(found.answer, rel=1e-4)


def test_taking_heads_away_is_the_same_as_weights_of_zero() -> None:
    """Against the same network whose output projection reads nothing of that head."""
    run = trained("transformer")
    context, *_ = build_context(run.project, run.model, run.data, ExplanationRequest("attention_heads", 3))
    looked = record_attention(context)
    gone = np.zeros((2, 4), dtype=bool)
    gone[1, 3] = True  # the second head of the second layer
    whole, without = scores_without_heads(context, looked, gone)
    assert whole == pytest.approx(float(context.score(context.inputs)), abs=1e-5)
    last: Any = context.model.get_submodule(looked.layers[1].name)
    last.out.weight.data[:, 8:] = 0.0
    assert without == pytest.approx(float(context.score(context.inputs)), abs=1e-5)
    assert abs(whole - without) > 1e-3
