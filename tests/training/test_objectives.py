"""Losses and metrics against scikit-learn and closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from netloom.data import Prepared, prepare, schema
from netloom.document import DataChoice, Training
from netloom.runs import fit_here, predict
from netloom.tasks import tasks
from netloom.training import OBJECTIVES, Evaluation
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.evaluation import Worst
from netloom.training.objectives.tagging import Tagging
from tests.data.samples import import_and_prepare
from tests.networks import chain

GENERATOR = torch.Generator().manual_seed(0)


@pytest.fixture
def digits(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="digits"), home)


@pytest.fixture
def diabetes(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="diabetes"), home)


@pytest.fixture
def tales(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="tales"), home)


def test_every_task_has_an_objective() -> None:
    assert list(tasks()) == list(OBJECTIVES)


def test_classification_matches_scikit_learn(digits: Prepared) -> None:
    rows = digits.split["test"]
    target = digits.target[rows]
    logits = torch.randn(len(rows), 10, generator=GENERATOR) + 3 * torch.nn.functional.one_hot(target, 10)
    result = OBJECTIVES["classification"].evaluate(logits, digits, rows, "test")
    truth, predicted = target.numpy(), logits.argmax(1).numpy()
    probabilities = logits.double().softmax(1).numpy()
    assert result.metrics["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert result.metrics["loss"] == pytest.approx(metrics.log_loss(truth, probabilities), rel=1e-5)
    assert result.metrics["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert result.metrics["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, predicted))
    assert result.confusion == metrics.confusion_matrix(truth, predicted).tolist()
    report = metrics.classification_report(truth, predicted, output_dict=True)
    assert result.report is not None
    for line in result.report:
        expected = report[line["class"]]
        assert (line["precision"], line["recall"]) == pytest.approx((expected["precision"], expected["recall"]))
        assert (line["f1"], line["examples"]) == pytest.approx((expected["f1-score"], expected["support"]))


def test_worst_examples_have_the_highest_loss(digits: Prepared) -> None:
    rows = digits.split["test"]
    logits = torch.randn(len(rows), 10, generator=GENERATOR)
    result = OBJECTIVES["classification"].evaluate(logits, digits, rows, "test")
    losses = torch.nn.functional.cross_entropy(logits, digits.target[rows], reduction="none")
    assert len(result.worst) == 20
    assert [item.row for item in result.worst] == rows[losses.argsort(descending=True)[:20]].tolist()
    first = result.worst[0]
    assert first.target == digits.target_text(first.row)
    assert first.loss == pytest.approx(float(losses.max()))
    assert first.confidence is not None
    assert 0 < first.confidence <= 1


def test_absent_classes_are_excluded_from_macro_metrics(digits: Prepared) -> None:
    rows = digits.split["test"][digits.target[digits.split["test"]] < 5]
    target = digits.target[rows]
    logits = 9.0 * torch.nn.functional.one_hot(target, 10)
    result = OBJECTIVES["classification"].evaluate(logits, digits, rows, "test")
    assert result.metrics["macro_f1"] == result.metrics["balanced_accuracy"] == 1.0


def test_predicted_classes_without_rows_count_in_macro_f1_as_in_scikit_learn(digits: Prepared) -> None:
    rows = digits.split["test"][digits.target[digits.split["test"]] < 5]
    target = digits.target[rows]
    logits = 9.0 * torch.nn.functional.one_hot(torch.where(target == 0, 9, target), 10)
    result = OBJECTIVES["classification"].evaluate(logits, digits, rows, "test")
    truth, predicted = target.numpy(), logits.argmax(1).numpy()
    assert result.metrics["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = metrics.balanced_accuracy_score(truth, predicted)
    assert result.metrics["balanced_accuracy"] == pytest.approx(expected)


def test_regression_matches_scikit_learn_in_original_units(diabetes: Prepared) -> None:
    rows = diabetes.split["test"]
    output = diabetes.target[rows] + 0.5 * torch.randn(len(rows), 1, generator=GENERATOR)
    result = OBJECTIVES["regression"].evaluate(output, diabetes, rows, "test")
    scale = torch.tensor(diabetes.fitted_numbers.std)
    truth = (diabetes.target[rows] * scale + torch.tensor(diabetes.fitted_numbers.mean)).numpy()
    predicted = (output * scale + torch.tensor(diabetes.fitted_numbers.mean)).numpy()
    assert result.metrics["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, predicted), rel=1e-4)
    assert result.metrics["mae"] == pytest.approx(metrics.mean_absolute_error(truth, predicted), rel=1e-4)
    assert result.metrics["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-4)
    assert result.residuals is not None
    assert result.residuals["target"] == pytest.approx(truth.ravel().tolist())
    errors = np.abs(truth - predicted).ravel()
    assert result.worst[0].row == int(rows[int(errors.argmax())])


def test_several_numbers_are_compared_in_standard_deviations(home: Path) -> None:
    """Prices are a thousand times as large as shares, so that errors in the units of the data are those of prices."""
    random = np.random.default_rng(0)
    price, share = 5_000 + 1_000 * random.normal(size=200), 0.5 + 0.1 * random.normal(size=200)
    table = "a,price,share\n" + "\n".join(f"{p / 1000},{p},{s}" for p, s in zip(price, share, strict=True))
    data = import_and_prepare(table.encode(), home, columns={name: {"role": "target"} for name in ("price", "share")})
    rows, objective = data.split["test"], OBJECTIVES["regression"]
    wrong_share, wrong_price = data.target[rows].clone(), data.target[rows].clone()
    wrong_share[0, 1] += 3
    wrong_price[1, 0] += 0.3
    first, second = (objective.evaluate(output, data, rows, "test") for output in (wrong_share, wrong_price))
    assert first.metrics["mae"] < second.metrics["mae"], "in the units of the data"
    name = objective.task.headline_metric(first.metrics)
    assert name == "scaled_mae"
    assert (first.metrics[name], second.metrics[name]) == pytest.approx((1.5 / len(rows), 0.15 / len(rows)), rel=1e-3)
    assert first.metrics["scaled_rmse"] == pytest.approx(3 / (2 * len(rows)) ** 0.5, rel=1e-3)
    both = objective.evaluate(wrong_share + wrong_price - data.target[rows], data, rows, "test")
    assert [item.row for item in both.worst[:2]] == rows[:2].tolist()
    assert both.worst[0].loss == pytest.approx(1.5, rel=1e-3)


def test_constant_mean_prediction_has_zero_r2(diabetes: Prepared) -> None:
    rows = diabetes.split["train"]
    result = OBJECTIVES["regression"].evaluate(torch.zeros(len(rows), 1), diabetes, rows, "train")
    assert result.metrics["r2"] == pytest.approx(0, abs=1e-5)


def test_language_model_reports_nats_bits_and_perplexity(tales: Prepared) -> None:
    rows = tales.split["test"][:30]
    size = tales.schema.inputs[0].vocabulary or 0
    logits = torch.zeros(len(rows), tales.target.shape[1], size)
    result = OBJECTIVES["language_modeling"].evaluate(logits, tales, rows, "test")
    assert result.metrics["loss"] == pytest.approx(math.log(size), rel=1e-5)
    assert result.metrics["bits_per_token"] == pytest.approx(math.log2(size), rel=1e-5)
    assert result.metrics["perplexity"] == pytest.approx(size, rel=1e-4)
    confident_logits = 50.0 * torch.nn.functional.one_hot(tales.target[rows], size)
    assert OBJECTIVES["language_modeling"].evaluate(confident_logits, tales, rows, "test").metrics["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("classification", torch.randn(1300, 4), torch.randint(0, 4, (1300,))),
        ("regression", torch.randn(1300, 3), torch.randn(1300, 3)),
        ("language_modeling", torch.randn(700, 6, 5), torch.randint(0, 5, (700, 6))),
        ("reconstruction", torch.randn(700, 1, 4, 4), torch.randn(700, 1, 4, 4)),
        ("segmentation", torch.randn(700, 3, 4, 4), torch.randint(0, 3, (700, 4, 4))),
        ("tagging", torch.randn(700, 6, 5), torch.randint(0, 5, (700, 6))),
        (
            "class_and_tags",
            torch.randn(700, 3 + 6 * 5),
            torch.cat([torch.full((700, 1), 3), torch.randint(0, 3, (700, 1)), torch.randint(0, 5, (700, 6))], dim=1),
        ),
        ("binary_classification", torch.randn(1300, 1), torch.randint(0, 2, (1300, 1)).float()),
        ("multi_label", torch.randn(1300, 5), torch.randint(0, 2, (1300, 5)).float()),
        ("distillation", torch.randn(1300, 4), torch.randint(0, 4, (1300,))),
        ("siamese", torch.randn(1300, 6), torch.randint(0, 2, (1300,))),
        ("ranking", torch.randn(1300, 1), torch.ones(1300)),
    ],
)
def test_batched_metrics_equal_metrics_of_the_whole(name: str, output: torch.Tensor, target: torch.Tensor) -> None:
    objective = Tagging().marked(("O", "B-a", "I-a", "B-b", "I-b")) if name == "tagging" else OBJECTIVES[name]
    scores = objective.scores(output, target)
    values = {key: value.numpy() for key, value in scores.values.items()}
    whole = objective.finish({key: float(value) / scores.count for key, value in scores.sums.items()})
    whole |= objective.metrics_of_values(values) if values else {}
    parts = compute_metrics(torch.nn.Identity(), objective, [output], target)
    assert parts == pytest.approx(whole, rel=1e-4)
    assert set(parts) == set(objective.metrics)
    assert parts["loss"] == pytest.approx(float(objective.loss(output, target)), rel=1e-4)


def test_predictions_are_json_serializable(digits: Prepared, diabetes: Prepared, tales: Prepared) -> None:
    answers = OBJECTIVES["classification"].answers(torch.randn(2, 10), digits)
    assert sum(answers[0]["probabilities"].values()) == pytest.approx(1, rel=1e-5)
    assert answers[0]["prediction"] == max(answers[0]["probabilities"], key=answers[0]["probabilities"].get)
    number = OBJECTIVES["regression"].answers(torch.zeros(1, 1), diabetes)[0]["prediction"]
    assert number == pytest.approx(diabetes.fitted_numbers.mean[0], rel=1e-5)
    size = tales.schema.inputs[0].vocabulary or 0
    logits = torch.zeros(1, 4, size)
    logits[0, -1, 5] = 1.0
    letters = OBJECTIVES["language_modeling"].answers(logits, tales)
    assert letters[0]["prediction"] == tales.token_field(tales.schema.inputs[0].name).vocabulary[5]
    json.dumps([answers, letters])


def test_evaluation_round_trips_through_json(digits: Prepared) -> None:
    rows = digits.split["test"]
    logits = torch.randn(len(rows), 10, generator=GENERATOR)
    result: Evaluation = OBJECTIVES["classification"].evaluate(logits, digits, rows, "test")
    value = json.loads(json.dumps(result.as_json()))
    assert value["metrics"] == result.metrics
    assert value["worst"][0]["row"] == result.worst[0].row


def test_language_model_predicts_after_the_last_prompt_token(home: Path) -> None:
    data_schema = schema(DataChoice(dataset="tales"), home)
    assert data_schema is not None
    size = data_schema.inputs[0].vocabulary or 0
    project = chain(
        ("Input", {"field": "text", "kind": "tokens", "shape": [64], "vocabulary": size}),
        ("Embedding", {"vocabulary": size, "dim": 8}),
        ("LSTM", {"hidden_size": 16}),
        ("Linear", {"units": size}),
        data=DataChoice(dataset="tales"),
        training=Training(objective="language_modeling", epochs=1),
    )
    trained = fit_here(project, home)
    prompt = "The old woman"
    tokens = trained.data.encode({"text": prompt})["text"]
    with torch.no_grad():
        expected = trained.model(tokens[:, : len(prompt)])[0, -1].softmax(0)
    short, long = predict(trained, [{"text": prompt}, {"text": "x" * 200 + prompt}])
    assert max(short["probabilities"].values()) == pytest.approx(float(expected.max()), abs=1e-6)
    assert set(long) == {"prediction", "probabilities"}
    # A text that is too long keeps its end.
    truncated = trained.data.encode({"text": "x" * 200 + prompt})["text"]
    assert truncated[0, -len(prompt) :].tolist() == tokens[0, : len(prompt)].tolist()


def test_mistakes_are_the_wrong_ones_and_the_most_confident_is_first_choice() -> None:
    sure, doubtful = Worst(1, 0.9, "a", "b", 0.95), Worst(2, 2.0, "a", "b", 0.5)
    right = Worst(3, 1.5, "a", "a", 0.4)
    similar = Worst(4, 1.0, "similar", "similar, 0.20 apart", None, correct=True)
    evaluation = Evaluation("test", 4, {}, worst=[doubtful, right, similar, sure])
    assert evaluation.mistakes == [doubtful, sure]
    assert evaluation.most_confident_mistake == sure
    assert Evaluation("test", 1, {}, worst=[right]).most_confident_mistake is None
    old: dict[str, Any] = evaluation.as_json()
    for item in old["worst"]:
        del item["correct"]  # as an earlier release saved it
    assert [item.row for item in Evaluation.from_json(old).worst] == [2, 3, 4, 1]
