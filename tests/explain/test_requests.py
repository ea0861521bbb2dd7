"""What people ask for, rightly and wrongly."""

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


def test_every_method_introduces_itself() -> None:
    listed = methods(trained("transformer"))
    assert [method.name for method in listed][:3] == ["integrated_gradients", "saliency", "occlusion"]
    assert {method.name for method in listed} == set(registry())
    for method in listed:
        assert method.group in GROUPS
        assert method.available == (not method.reason)
        assert method.title
        assert method.summary
        assert method.url.startswith("https://")


def test_classes_by_name_and_number() -> None:
    run = trained("image")
    by_name, by_number = explain(run, "saliency", 3, target="square"), explain(run, "saliency", 3, target=1)
    assert by_name.target == by_number.target
    assert by_name.target.name == "square"
    np.testing.assert_array_equal(by_name.attributions["image"], by_number.attributions["image"])


def test_the_answer_of_a_class_that_was_not_predicted() -> None:
    run = trained("table")
    for name in run.data.schema.target.classes:
        found = explain(run, "integrated_gradients", 3, target=name)
        assert found.target.name == name
        assert found.prediction.text == explain(run, "integrated_gradients", 3).prediction.text


def test_tokens_of_a_text_by_position_and_name() -> None:
    run = trained("characters")
    found = explain(run, "occlusion", 2, target={"position": 10, "token": "e"})
    assert (found.target.position, found.target.name) == (10, "e")
    assert explain(run, "occlusion", 2, target="e").target.position == 23
    assert found.labels["text"] == found.example.tokens


def test_padding_gets_nothing_and_has_no_label() -> None:
    run = trained("transformer")
    row = next(i for i in range(run.data.schema.rows) if (run.data.inputs["text"][i] == 0).sum() >= 3)
    padding = run.data.inputs["text"][row].numpy() == 0
    for method in ("integrated_gradients", "occlusion"):
        found = explain(run, method, row)
        np.testing.assert_allclose(found.attributions["text"][padding], 0.0, atol=1e-6)
        assert all(found.labels["text"][place] == "" for place in np.flatnonzero(padding))


@pytest.mark.parametrize(
    ("method", "row", "asked", "message"),
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
def test_a_wrong_request_gets_a_sentence(method: str, row: int, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("table"), method, row, **asked)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"position": 99}, "There is no position '99'; this text has 0 to 23"),
        ({"token": "漢"}, "The token '漢' is not among the"),
        ({"place": 1}, "A target in a text has a position and a token"),
    ],
)
def test_a_wrong_place_in_a_text_gets_a_sentence(target: dict[str, Any], message: str) -> None:
    with pytest.raises(ExplainError, match=message):
        explain(trained("characters"), "saliency", 0, target=target)


def test_a_raw_row_that_does_not_fit() -> None:
    with pytest.raises(DataError, match="has no column"):
        explain(trained("table"), "saliency", {"mean radius": 1.0})


def test_an_answer_that_is_no_number() -> None:
    run = trained("regression")
    model = module(run.source)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ExplainError, match="is not finite"):
        explain_model(run.project, model.eval(), run.data, "integrated_gradients", 0)


def test_an_example_that_is_the_baseline() -> None:
    """An empty text is all padding: there is nothing to share out, and that is said."""
    found = explain(trained("transformer"), "integrated_gradients", {"text": ""})
    assert found.proofs.completeness is not None
    assert found.proofs.completeness.relative_error is None
    assert found.proofs.faithfulness is None
    assert found.verdict.level == "caution"
    assert "nothing to attribute" in found.verdict.sentence
    assert explain(trained("transformer"), "occlusion", {"text": ""}).verdict.level == "caution"


def test_two_embeddings_of_one_text_add_up_together() -> None:
    """Both embeddings read the same tokens; each token gets the sum of its two parts."""
    run = trained("transformer")
    kind, params = source("intents")
    size = params["vocabulary"]
    made = project(
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
    found = explain_model(made, module(made).eval(), run.data, "integrated_gradients", 3)
    proof = found.proofs.completeness
    assert proof is not None
    assert proof.relative_error is not None
    assert proof.relative_error <= 0.01


def test_tokens_that_no_embedding_reads_have_no_gradients() -> None:
    """Gradients cannot reach whole numbers; occlusion needs none."""
    run = trained("transformer")
    kind, params = source("intents")
    made = project(
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
    reasons = {found.name: found.reason for found in methods(replace(run, project=made))}
    said = "Reshape (reshape_1) reads the tokens of Input (input_1) without an Embedding"
    assert reasons["integrated_gradients"].startswith(said)
    assert reasons["saliency"].startswith(said)
    assert reasons["occlusion"] == ""
    with pytest.raises(ExplainError, match="use Occlusion"):
        explain(replace(run, project=made), "integrated_gradients", 3)


def test_a_raw_row_may_hold_the_date_itself(home: Path) -> None:
    rows = "".join(f"2024-01-{1 + day % 28:02d},{day},{'a' if day % 2 else 'b'}\n" for day in range(60))
    info = add_file(f"when,x,y\n{rows}".encode(), "days.csv", home)
    data = DataChoice(dataset=info.name)
    width = prepare(data, home).schema.inputs[0].shape[0]
    table = ("Input", {"field": "features", "kind": "vector", "shape": [width]})
    run = fit_here(chain(table, ("Linear", {"units": 2}), data=data, training=Training(epochs=1)), home)
    found = explain(run, "saliency", {"when": "2024-01-05", "x": 3})
    assert found.example.columns == {"when": "2024-01-05", "x": 3}
