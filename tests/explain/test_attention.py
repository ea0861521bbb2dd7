"""Attention maps, rollout and ranking."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from netloom.compile import module
from netloom.data import Prepared, prepare
from netloom.document import DataChoice, Project
from netloom.explain import AttentionLayer, AttentionMaps, ExplainError, explain, explain_model, methods
from netloom.explain.attention.head_patterns import describe_pattern, head_figures
from netloom.explain.attention.rollout import rollout, spearman
from netloom.explain.core.context import ExplanationContext
from netloom.explain.core.explanation import Stream
from netloom.explain.core.network.attention_capture import trace_attention
from netloom.explain.core.targets import choose
from netloom.explain.plots.attention import attention_lines, hidden_lines_note, patches
from netloom.runs import TrainedRun
from tests.explain.models import network, source, trained
from tests.networks import chain, project

SVG = "{http://www.w3.org/2000/svg}"


def test_rollout_of_two_layers_matches_hand_computation() -> None:
    """Layer 1 has one head that swaps two steps; layer 2 has two heads whose mean attends to both steps equally."""
    first = np.array([[[0.0, 1.0], [1.0, 0.0]]])
    second = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    # With the residual: [[.5, .5], [.5, .5]] and [[.75, .25], [.25, .75]]; their product is 0.5 everywhere.
    np.testing.assert_allclose(rollout([first, second]), np.full((2, 2), 0.5))
    third = np.array([[[1.0, 0.0], [0.6, 0.4]]])
    # [[1, 0], [.3, .7]] twice: row 1 is .3 + .7 × .3 = .51 and .7 × .7 = .49.
    np.testing.assert_allclose(rollout([third, third]), [[1.0, 0.0], [0.51, 0.49]])


def test_spearman_depends_only_on_rank_order() -> None:
    values = np.array([0.1, 5.0, 3.0, 2.0])
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)
    # The ranks are 1.5, 1.5, 3 and 2, 1, 3: their covariance is 1.5, their variances are 1.5 and 2.
    assert spearman(np.array([7, 7, 9]), np.array([2, 1, 3])) == pytest.approx(np.sqrt(3) / 2)
    for nothing in (np.ones(4), np.array([1.0, np.nan, 2.0, 3.0])):
        assert spearman(nothing, values) is None
        assert spearman(values, nothing) is None
    assert spearman(np.zeros(0), np.zeros(0)) is None


@pytest.mark.parametrize(
    ("name", "layers"), [("transformer", 2), pytest.param("characters", 2, marks=pytest.mark.long)]
)
def test_attention_weights_of_every_head_are_returned(name: str, layers: int) -> None:
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


def test_positions_have_the_words_of_the_text_and_not_of_the_vocabulary() -> None:
    maps = explain(trained("transformer"), "attention", {"text": "play qwertz"}, proofs=False).attention
    assert maps is not None
    assert maps.tokens[:3] == ("play", "qwertz", ""), "qwertz is not in the vocabulary"


@pytest.mark.parametrize("name", ["transformer", "characters"])
def test_captured_weights_reproduce_the_layer_output(name: str) -> None:
    """out(A·v) from the captured weights equals the fused attention output; capture keeps it bit for bit."""
    run = trained(name)
    layer: Any = next(submodule for submodule in deepcopy(run.model).modules() if hasattr(submodule, "capture"))
    x = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = layer(x)
        layer.capture = True
        captured, weights = layer(x), layer.attention
        mixed = weights @ layer.split(layer.v(x))
        rebuilt = layer.out(mixed.transpose(1, 2).flatten(2))
    assert torch.equal(plain, captured)
    torch.testing.assert_close(rebuilt, plain, atol=1e-5, rtol=1e-5)


def test_verdict_warns_that_attention_is_not_attribution() -> None:
    explanation = explain(trained("transformer"), "attention", 3)
    assert "not what the prediction relies on" in explanation.verdict.sentence
    assert explanation.verdict.level in ("caution", "poor")
    assert explanation.attention is not None
    assert explanation.attention.correlation is not None
    assert f"{explanation.attention.correlation:+.2f}" in explanation.verdict.sentence


def test_text_is_explained_at_the_requested_position() -> None:
    run = trained("characters")
    explanation = explain(run, "attention", 3, target={"position": 5})
    assert explanation.target.position == 5
    assert explanation.attention is not None
    assert explanation.attention.rollout is not None
    np.testing.assert_array_equal(explanation.attributions["text"], explanation.attention.rollout[5])
    assert (explanation.attributions["text"][6:] == 0).all()
    parts = explain(run, "integrated_gradients", 3, target={"position": 5}).attributions["text"]
    assert (parts[6:] == 0).all(), "later positions cannot affect a causal network"
    assert np.abs(parts[:6]).sum() > 0


@pytest.mark.parametrize("name", ["transformer", "characters"])
def test_traced_attention_leaves_the_output_unchanged(name: str) -> None:
    """The output with traced weights equals the plain output, and the traced weights equal the captured ones."""
    run = trained(name)
    inputs = {key: value[3:4] for key, value in run.data.inputs.items()}
    context = ExplanationContext(
        run.project, run.model, run.data, inputs, choose(None, run.output(inputs), run.data, inputs)
    )
    with torch.no_grad(), trace_attention(context.model) as traced:
        output = context.forward(inputs)
    torch.testing.assert_close(output, run.output(inputs), atol=1e-5, rtol=1e-5)
    maps = explain(run, "attention", 3).attention
    assert maps is not None
    assert [layer.name for layer in maps.layers] == list(traced)
    for layer in maps.layers:
        np.testing.assert_allclose(traced[layer.name][0].numpy(), layer.weights, atol=1e-6)
    assert "forward" not in vars(context.model.get_submodule(maps.layers[0].name))


def linear_attention_only(run: TrainedRun) -> tuple[Project, nn.Module]:
    """One attention head whose mean output is the score: linear in the weights A, without biases."""
    kind, params = source("intents")
    document = chain(
        (kind, params),
        ("Embedding", {"vocabulary": params["vocabulary"], "dim": len(run.data.schema.target.classes)}),
        ("MultiHeadAttention", {"heads": 1}),
        ("Mean", {}),
        data=run.project.data,
    )
    torch.manual_seed(1)
    model = module(document).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return document, model


def test_attention_relevance_sums_to_the_score_when_linear() -> None:
    """y = Σ A ⊙ ∂y/∂A, by Euler, as y is linear in A."""
    run = trained("transformer")
    document, model = linear_attention_only(run)
    explanation = explain_model(document, model, run.data, "attention_relevance", 3)
    assert explanation.attention is not None
    (layer,) = explanation.attention.layers
    assert layer.weights.sum() == pytest.approx(explanation.score, rel=1e-5)
    assert explanation.attention.rollout is not None
    np.testing.assert_allclose(explanation.attention.rollout, layer.weights[0].clip(min=0), atol=1e-12)


def test_parallel_attention_layers_have_no_rollout() -> None:
    run = trained("transformer")
    kind, params = source("intents")
    document = project(
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
    explanation = explain_model(document, module(document).eval(), run.data, "attention", 3)
    assert explanation.attention is not None
    assert explanation.attention.rollout is None
    assert explanation.attributions == {}
    assert len(explanation.attention.layers) == 2
    assert "parallel" in explanation.verdict.sentence


def test_attention_explains_a_time_series() -> None:
    document = network(
        "sine",
        ("Linear", {"units": 8}),
        ("MultiHeadAttention", {"heads": 2}),
        ("Mean", {}),
        ("Linear", {"units": 1}),
        options={"window": 16},
        objective="regression",
    )
    run = trained("series")
    explanation = explain_model(document, module(document).eval(), run.data, "attention", 3)
    assert explanation.attributions["series"].shape == (16, 1)
    assert explanation.attributions["series"].sum() == pytest.approx(1.0)
    assert explanation.attention is not None
    assert explanation.attention.tokens[:2] == ("0", "1"), "labels as on the axis of the series"


def test_network_without_attention_is_refused() -> None:
    run = trained("table")
    method = next(info for info in methods(run) if info.name == "attention")
    assert not method.available
    assert "does not have an attention layer" in method.reason
    with pytest.raises(ExplainError, match="does not have an attention layer"):
        explain(run, "attention", 0)


def vision_transformer() -> tuple[Project, nn.Module]:
    """A small untrained vision Transformer that classifies from its class token."""
    document = chain(
        source("digits"),
        ("PatchEmbedding", {"patch": 2, "dim": 8, "class_token": True}),
        ("TransformerEncoderBlock", {"heads": 2, "hidden": 16}),
        ("TransformerEncoderBlock", {"heads": 2, "hidden": 16}),
        ("Select", {"axis": 1, "index": 0}),
        ("Linear", {"units": 10}),
        data=DataChoice(dataset="digits"),
    )
    torch.manual_seed(0)
    return document, module(document).eval()


@pytest.mark.parametrize("method", ["attention", "attention_relevance"])
def test_patch_attention_is_mapped_onto_the_image(method: str) -> None:
    document, model = vision_transformer()
    data = prepare(document.data)
    explanation = explain_model(document, model, data, method, 3)
    maps = explanation.attention
    assert maps is not None
    assert maps.rollout is not None
    (stream,) = maps.streams
    assert (stream.field, stream.grid, stream.special) == ("image", (4, 4), 1)
    assert maps.output_rows == (0,), "only the class token is read"
    squares = explanation.attributions["image"][0].reshape(4, 2, 4, 2).sum((1, 3))
    np.testing.assert_allclose(squares.ravel(), maps.rollout[0, 1:], atol=1e-12)
    # The effect of the patch in the second row and third column, by occluding it manually.
    background = np.median(np.concatenate([edge.ravel() for edge in border_pixels(data)]))
    covered = data.inputs["image"][3:4].clone()
    covered[:, :, 2:4, 4:6] = float(background)
    with torch.no_grad():
        drop = model(data.inputs["image"][3:4])[0] - model(covered)[0]
    assert stream.effects[0] is None, "the class token is not part of the image"
    assert stream.effects[1 + 4 + 2] == pytest.approx(float(drop[explanation.target.index]), abs=1e-5)


def border_pixels(data: Prepared) -> list[np.ndarray]:
    """The border pixels of the training images, whose median is the default baseline."""
    rows = data.inputs["image"][data.split["train"][:2048]].numpy()
    return [rows[:, :, 0], rows[:, :, -1], rows[:, :, :, 0], rows[:, :, :, -1]]


def test_head_figures_describe_attention_patterns() -> None:
    previous, uniform = np.eye(4, k=-1), np.full((4, 4), 0.25)
    previous[0, 0] = 1.0
    layer = AttentionLayer("a", "A", False, np.stack([np.eye(4), previous, uniform]))
    effects = (0.1, -0.4, 0.3, 0.2)
    maps = AttentionMaps(
        (layer,), ("⟨class⟩", "b", "c", "d"), None, "", None, (Stream("x", tuple("abcd"), (), 0, effects),)
    )
    self_head, previous_head, uniform_head = head_figures(maps, layer)
    assert (self_head.itself, self_head.distance, self_head.entropy, self_head.before) == (1.0, 0.0, 0.0, 0.0)
    assert self_head.special == pytest.approx(0.25)
    assert previous_head.before == pytest.approx(1.0)
    assert previous_head.distance == pytest.approx(0.75)
    assert previous_head.first == pytest.approx(0.5)
    # It attends to a twice, to b and c once, and never to d.
    assert previous_head.agreement == pytest.approx(float(spearmanr([2, 1, 1, 0], [0.1, 0.4, 0.3, 0.2]).statistic))
    assert uniform_head.entropy == pytest.approx(1.0)
    assert uniform_head.agreement is None
    assert [describe_pattern(head) for head in (self_head, previous_head, uniform_head)] == [
        "attends to its own position (100%)",
        "attends to the previous position (100%)",
        "attends to all positions equally",
    ]


def test_attention_lines_connect_tokens_and_escape_markup() -> None:
    weights = np.array([[0.5, 0.5, 0.0], [-1.0, 0.01, 0.2], [0.3, 0.3, 0.4]])
    drawing = ElementTree.fromstring(attention_lines(weights, ["<script>", "b", ""], ["a & b", "c", "d"]))
    lines = {
        (int(line.get("data-row", "")), int(line.get("data-column", ""))): line for line in drawing.iter(f"{SVG}line")
    }
    assert set(lines) == {(0, 0), (0, 1), (1, 0), (1, 2)}, "padding and near-zero weights are omitted"
    assert "0, 114, 178" in str(lines[1, 0].get("stroke"))
    assert float(str(lines[1, 0].get("stroke-width"))) > float(str(lines[1, 2].get("stroke-width")))
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert texts[2:] == ["<script>", "b", "a␣&␣b", "c", "d"]


def test_each_query_shows_its_strongest_lines_and_reports_hidden_ones() -> None:
    size = 32
    weights = np.random.default_rng(3).dirichlet(np.full(size, 0.7), size)
    names = [str(index) for index in range(size)]
    drawing = ElementTree.fromstring(attention_lines(weights, names, names))
    visible: dict[int, list[int]] = {}
    for line in drawing.iter(f"{SVG}line"):
        if line.get("display") is None:
            visible.setdefault(int(str(line.get("data-row"))), []).append(int(str(line.get("data-column"))))
    assert {row: set(columns) for row, columns in visible.items()} == {
        row: set(np.argsort(weights[row])[-3:].tolist()) for row in range(size)
    }
    shown_share = np.sort(weights, axis=1)[:, -3:].sum() / weights.sum()
    note = hidden_lines_note(weights, names, names)
    assert f"Each query shows its 3 strongest of 32 lines, which have {shown_share:.0%} of the total weight" in note
    drawn = len(list(drawing.iter(f"{SVG}line")))
    assert drawn == (weights >= 0.02 * weights.max()).sum() < weights.size
    assert note.endswith("Lines below 2% of the strongest are omitted.")
    assert hidden_lines_note(np.ones((4, 4)), names[:4], names[:4]) == ""
    assert hidden_lines_note(np.ones((50, 50)), ["a"] * 50, ["a"] * 50).endswith(
        "Only the 30 strongest lines of each query are drawn."
    )


@pytest.mark.parametrize(("steps", "low", "high"), [(3, 0.85, 1.0), (32, 0.15, 0.3)])
def test_line_opacity_scales_with_uniform_attention_weight(steps: int, low: float, high: float) -> None:
    names = [str(index) for index in range(steps)]
    drawing = ElementTree.fromstring(attention_lines(np.full((steps, steps), 1 / steps), names, names))
    assert all(low < float(str(line.get("stroke-opacity"))) < high for line in drawing.iter(f"{SVG}line"))


def test_patches_are_drawn_onto_the_image() -> None:
    weights = np.full((5, 5), 0.1)
    weights[0, 3] = 0.6
    drawing = ElementTree.fromstring(
        patches(weights, ["⟨class⟩", "1·1", "1·2", "2·1", "2·2"], (2, 2), 1, np.ones((8, 8)), 0)
    )
    drawn_patches = {part.get("data-column"): part for part in drawing.iter(f"{SVG}rect") if part.get("class") == "key"}
    assert set(drawn_patches) == {"1", "2", "3", "4"}
    assert max(drawn_patches, key=lambda place: float(str(drawn_patches[place].get("fill-opacity")))) == "3"
    assert float(str(drawn_patches["3"].get("y"))) > float(str(drawn_patches["1"].get("y")))
    queries = [part for part in drawing.iter(f"{SVG}rect") if str(part.get("class")).startswith("query")]
    assert [len(str(part.get("data-values")).split()) for part in queries] == [5] * 5
