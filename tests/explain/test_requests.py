"""Valid and invalid explanation requests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.compile import module
from netloom.data import DataError, add_file, prepare
from netloom.document import DataChoice, Training
from netloom.explain import GROUPS, ExplainError, explain, explain_model, methods, registry
from netloom.runs import fit_here
from tests.explain.models import source, trained
from tests.networks import chain, project


def test_every_method_has_a_title_group_and_url() -> None:
    listed = methods(trained("transformer"))
    assert [method.name for method in listed][:3] == ["integrated_gradients", "saliency", "occlusion"]
    assert {method.name for method in listed} == set(registry())
    for method in listed:
        assert method.group in GROUPS
        assert method.available == (not method.reason)
        assert method.title
        assert method.summary
        assert method.url.startswith("https://")


def test_target_class_is_accepted_by_name_or_index() -> None:
    run = trained("image")
    by_name, by_number = explain(run, "saliency", 3, target="square"), explain(run, "saliency", 3, target=1)
    assert by_name.target == by_number.target
    assert by_name.target.name == "square"
    np.testing.assert_array_equal(by_name.attributions["image"], by_number.attributions["image"])


def test_any_class_can_be_explained() -> None:
    run = trained("table")
    for name in run.data.schema.target.classes:
        explanation = explain(run, "integrated_gradients", 3, target=name)
        assert explanation.target.name == name
        assert explanation.prediction.text == explain(run, "integrated_gradients", 3).prediction.text


def test_text_target_is_chosen_by_position_and_token() -> None:
    run = trained("characters")
    explanation = explain(run, "occlusion", 2, target={"position": 10, "token": "e"})
    assert (explanation.target.position, explanation.target.name) == (10, "e")
    assert explain(run, "occlusion", 2, target="e").target.position == 23
    assert explanation.labels["text"] == explanation.example.tokens


def test_padding_has_zero_attribution_and_no_label() -> None:
    run = trained("transformer")
    row = next(i for i in range(run.data.schema.rows) if (run.data.inputs["text"][i] == 0).sum() >= 3)
    padding = run.data.inputs["text"][row].numpy() == 0
    for method in ("integrated_gradients", "occlusion"):
        explanation = explain(run, method, row)
        np.testing.assert_allclose(explanation.attributions["text"][padding], 0.0, atol=1e-6)
        assert all(explanation.labels["text"][index] == "" for index in np.flatnonzero(padding))


@pytest.mark.parametrize(
    ("method", "row", "options", "message"),
    [
        ("magic", 0, {}, "There is no method 'magic'; choose one of integrated_gradients"),
        ("saliency", -1, {}, "There is no example -1; the data has 0 to 568"),
        ("saliency", 9999, {}, "There is no example 9999"),
        ("saliency", 0, {"target": "harmless"}, "There is no class 'harmless'; choose one of malignant, benign"),
        ("saliency", 0, {"target": 2}, "There is no class '2'"),
        ("saliency", 0, {"speed": 3}, "Saliency: There is no option 'speed' in Saliency"),
        ("integrated_gradients", 0, {"max_steps": 0}, "max_steps must be at least"),
        (
            "occlusion",
            0,
            {"baseline": "pink"},
            "There is no baseline 'pink'; choose one of usual, zero, mean, median, cl",
        ),
        (
            "occlusion",
            0,
            {"baseline": "black"},
            "'black' does not fit this network, which reads numbers of a table; cho",
        ),
        ("occlusion", 0, {"baseline": "class"}, "The baseline 'class' needs the name of a class, as in class:…"),
        (
            "occlusion",
            0,
            {"baseline": "class:harmless"},
            "There is no class 'harmless'; choose one of malignant, benign",
        ),
        ("occlusion", 0, {"baseline": "row:569"}, "There is no row '569' to compare with; the data has 0 to 568"),
        ("occlusion", 0, {"baseline": "zero:1"}, "The baseline 'zero' takes nothing after a colon"),
        (
            "saliency",
            0,
            {"baseline": "zero"},
            "Saliency does not take a baseline: it has no .* Methods that take one: Integ",
        ),
        (
            "occlusion",
            0,
            {"n_steps": 4},
            "Occlusion does not take a number of steps: it does not integrate along a path",
        ),
        ("occlusion", 0, {"node": "linear_1"}, "Occlusion does not take a layer: it does not explain a layer"),
    ],
)
def test_invalid_request_is_refused_with_a_message(
    method: str, row: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("table"), method, row, **options)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"position": 99}, "There is no position '99'; this text has 0 to 23"),
        ({"token": "漢"}, "The token '漢' is not among the"),
        ({"place": 1}, "A target in a text has a position and a token"),
    ],
)
def test_invalid_text_target_is_refused_with_a_message(target: dict[str, Any], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("characters"), "saliency", 0, target=target)


def test_raw_row_with_missing_columns_is_refused() -> None:
    with pytest.raises(DataError, match="has no column"):
        explain(trained("table"), "saliency", {"mean radius": 1.0})


def test_non_finite_score_is_refused() -> None:
    run = trained("regression")
    model = module(run.source)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ExplainError, match="is not finite"):
        explain_model(run.project, model.eval(), run.data, "integrated_gradients", 0)


def test_example_equal_to_the_baseline_has_nothing_to_attribute() -> None:
    """An empty text is all padding, so there is nothing to attribute, and the verdict says so."""
    explanation = explain(trained("transformer"), "integrated_gradients", {"text": ""})
    assert explanation.proofs.completeness is not None
    assert explanation.proofs.completeness.relative_error is None
    assert explanation.proofs.faithfulness is None
    assert explanation.verdict.level == "caution"
    assert "nothing to attribute" in explanation.verdict.sentence
    assert explain(trained("transformer"), "occlusion", {"text": ""}).verdict.level == "caution"


def test_attributions_of_two_embeddings_satisfy_completeness() -> None:
    """Both embeddings read the same tokens; the attribution of a token is the sum of both."""
    run = trained("transformer")
    kind, params = source("intents")
    size = params["vocabulary"]
    document = project(
        {
            "input_1": (kind, params),
            "embedding_1": ("Embedding", {"vocabulary": size, "dim": 8}),
            "embedding_2": ("Embedding", {"vocabulary": size, "dim": 4}),
            "concat_1": ("Concat", {"axis": 2}),
            "gru_1": ("GRU", {"hidden_size": 8}),
            "linear_1": ("Linear", {"units": len(run.data.schema.target.classes)}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "embedding_1"),
            ("input_1", "embedding_2"),
            ("embedding_1", "concat_1.a"),
            ("embedding_2", "concat_1.b"),
            ("concat_1", "gru_1"),
            ("gru_1.state", "linear_1"),
            ("linear_1", "output_1"),
        ],
    )
    torch.manual_seed(0)
    explanation = explain_model(document, module(document).eval(), run.data, "integrated_gradients", 3)
    proof = explanation.proofs.completeness
    assert proof is not None
    assert proof.relative_error is not None
    assert proof.relative_error <= 0.01


def test_gradient_methods_need_an_embedding_on_tokens() -> None:
    """Token indices have no gradient; occlusion needs none."""
    run = trained("transformer")
    kind, params = source("intents")
    document = project(
        {
            "input_1": (kind, params),
            "reshape_1": ("Reshape", {"shape": [-1]}),
            "embedding_1": ("Embedding", {"vocabulary": params["vocabulary"], "dim": 8}),
            "mean_1": ("Mean", {}),
            "linear_1": ("Linear", {"units": len(run.data.schema.target.classes)}),
            "output_1": ("Output", {}),
        },
        [
            ("input_1", "reshape_1"),
            ("reshape_1", "embedding_1"),
            ("embedding_1", "mean_1"),
            ("mean_1", "linear_1"),
            ("linear_1", "output_1"),
        ],
    )
    reasons = {method.name: method.reason for method in methods(replace(run, project=document))}
    reason = "Reshape (reshape_1) reads the tokens of Input (input_1) without an Embedding"
    assert reasons["integrated_gradients"].startswith(reason)
    assert reasons["saliency"].startswith(reason)
    assert reasons["occlusion"] == ""
    with pytest.raises(ExplainError, match="use Occlusion"):
        explain(replace(run, project=document), "integrated_gradients", 3)


def test_raw_row_accepts_a_date_string(home: Path) -> None:
    rows = "".join(f"2024-01-{1 + day % 28:02d},{day},{'a' if day % 2 else 'b'}\n" for day in range(60))
    info = add_file(f"when,x,y\n{rows}".encode(), "days.csv", home)
    data = DataChoice(dataset=info.name)
    width = prepare(data, home).schema.inputs[0].shape[0]
    table = ("Input", {"field": "features", "kind": "vector", "shape": [width]})
    run = fit_here(chain(table, ("Linear", {"units": 2}), data=data, training=Training(epochs=1)), home)
    explanation = explain(run, "saliency", {"when": "2024-01-05", "x": 3})
    assert explanation.example.columns == {"when": "2024-01-05", "x": 3}
