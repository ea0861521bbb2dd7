"""Attention maps, rollout and ranking."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from builder.compile import module
from builder.explain import ExplainError, explain, explain_model, methods
from builder.explain.rollout import rollout, spearman
from tests.explain.models import network, source, trained
from tests.networks import project


def test_rollout_of_two_layers_by_hand() -> None:
    """Layer 1 has one head that swaps two steps, layer 2 two heads whose mean looks at both steps alike."""
    first = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    second = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    # With the residual: [[.5, .5], [.5, .5]] and [[.75, .25], [.25, .75]]; their product is one half everywhere.
    np.testing.assert_allclose(rollout([first, second]), np.full((2, 2), 0.5))
    third = np.array([[[1.0, 0.0], [0.6, 0.4]]])
    # [[1, 0], [.3, .7]] twice: row 1 is .3 + .7 × .3 = .51 and .7 × .7 = .49.
    np.testing.assert_allclose(rollout([third, third]), [[1.0, 0.0], [0.51, 0.49]])


def test_ranks_correlate_as_scipy_says() -> None:
    random = np.random.default_rng(0)
    for size in (2, 5, 40):
        first, second = random.integers(0, 6, size) + np.arange(size) % 2, random.normal(size=size)
        if len(set(first.tolist())) > 1:
            assert spearman(first, second) == pytest.approx(float(spearmanr(first, second).statistic))
    assert spearman(np.ones(4), np.arange(4)) is None


@pytest.mark.parametrize(("name", "layers"), [("transformer", 2), ("characters", 2)])
def test_the_weights_of_every_head(name: str, layers: int) -> None:
    run = trained(name)
    maps = explain(run, "attention", 3).attention
    assert maps is not None
    assert len(maps.layers) == layers
    steps = run.data.schema.inputs[0].shape[0]
    for layer in maps.layers:
        assert layer.weights.shape[1:] == (steps, steps)
        np.testing.assert_allclose(layer.weights.sum(-1), 1.0, atol=1e-6)
        assert layer.causal == (name == "characters")
        if layer.causal:
            assert np.abs(np.triu(layer.weights, 1)).max() == 0.0
    assert maps.rollout is not None
    np.testing.assert_allclose(maps.rollout.sum(-1), 1.0, atol=1e-6)
    assert len(maps.tokens) == steps
    np.testing.assert_allclose(maps.rollout, rollout([layer.weights for layer in maps.layers]))


@pytest.mark.parametrize("name", ["transformer", "characters"])
def test_the_weights_make_the_layers_own_output(name: str) -> None:
    """out(A·v) from the captured weights equals what the fused attention gave; capture changes nothing, not a bit."""
    run = trained(name)
    layer: Any = next(found for found in deepcopy(run.model).modules() if hasattr(found, "capture"))
    x = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = layer(x)
        layer.capture = True
        captured, weights = layer(x), layer.attention
        mixed = weights @ layer.split(layer.v(x))
        rebuilt = layer.out(mixed.transpose(1, 2).flatten(2))
    assert torch.equal(plain, captured)
    torch.testing.assert_close(rebuilt, plain, atol=1e-5, rtol=1e-5)


def test_the_verdict_says_that_attention_is_no_attribution() -> None:
    found = explain(trained("transformer"), "attention", 3)
    assert "no attribution" in found.verdict.sentence
    assert found.verdict.level in ("caution", "poor")
    assert found.attention is not None
    assert found.attention.correlation is not None
    assert f"{found.attention.correlation:+.2f}" in found.verdict.sentence


def test_a_text_is_explained_at_the_position_that_is_asked_for() -> None:
    run = trained("characters")
    found = explain(run, "attention", 3, target={"position": 5})
    assert found.target.position == 5
    assert found.attention is not None
    assert found.attention.rollout is not None
    np.testing.assert_array_equal(found.attributions["text"], found.attention.rollout[5])
    assert (found.attributions["text"][6:] == 0).all()
    parts = explain(run, "integrated_gradients", 3, target={"position": 5}).attributions["text"]
    assert (parts[6:] == 0).all(), "what comes later cannot matter to a causal network"
    assert np.abs(parts[:6]).sum() > 0


def test_layers_side_by_side_have_no_rollout() -> None:
    run = trained("transformer")
    kind, params = source("intents")
    made = project(
        {
            "input_1": (kind, params),
            "embedding_1": ("Embedding", {"vocabulary": params["vocabulary"], "dim": 8}),
            "multiheadattention_1": ("MultiHeadAttention", {"heads": 2}),
            "multiheadattention_2": ("MultiHeadAttention", {"heads": 2}),
            "add_1": ("Add", {}),
            "mean_1": ("Mean", {}),
            "linear_1": ("Linear", {"units": len(run.data.schema.target.classes)}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "embedding_1"),
            ("embedding_1", "multiheadattention_1"),
            ("embedding_1", "multiheadattention_2"),
            ("multiheadattention_1", "add_1.a"),
            ("multiheadattention_2", "add_1.b"),
            ("add_1", "mean_1"),
            ("mean_1", "linear_1"),
            ("linear_1", "output_1"),
        ],
    )
    found = explain_model(made, module(made).eval(), run.data, "attention", 3)
    assert found.attention is not None
    assert found.attention.rollout is None
    assert found.attributions == {}
    assert len(found.attention.layers) == 2
    assert "side by side" in found.verdict.sentence


def test_attention_on_a_series() -> None:
    made = network(
        "sine",
        ("Linear", {"units": 8}),
        ("MultiHeadAttention", {"heads": 2}),
        ("Mean", {}),
        ("Linear", {"units": 1}),
        objective="regression",
    )
    run = trained("series")
    found = explain_model(made, module(made).eval(), run.data, "attention", 3)
    assert found.attributions["series"].shape == (32, 1)
    assert found.attributions["series"].sum() == pytest.approx(1.0)
    assert found.attention is not None
    assert found.attention.tokens[:2] == ("1", "2")


def test_a_network_without_attention_says_so() -> None:
    run = trained("table")
    method = next(found for found in methods(run) if found.name == "attention")
    assert not method.available
    assert "no attention layer" in method.reason
    with pytest.raises(ExplainError, match="no attention layer"):
        explain(run, "attention", 0)
