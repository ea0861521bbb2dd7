"""Ordinal classification: the loss against its formula, the metrics against scikit-learn, and a run end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from netloom.data import add_file, prepare
from netloom.document import DataChoice
from netloom.runs import fit_here, predict
from netloom.templates import templates
from netloom.templates.starting import start
from netloom.training import OBJECTIVES
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.ordinal_classification import ranked_probability, weighted_kappa
from netloom.validation import validate

TASK = "ordinal_classification"


def add_grades(home: Path, names: str = "12345") -> str:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    place = np.clip(np.floor(x[:, 0] + 0.2 * random.normal(size=400) + 2.5), 0, 4).astype(int)
    lines = [",".join([*(f"{value:.4f}" for value in row), names[at]]) for row, at in zip(x, place, strict=True)]
    content = ("a,b,c,grade\n" + "\n".join(lines)).encode()
    return add_file(content, "grades.csv", home, options={"task": "classification"}, target="grade").name


def test_ranked_probability_loss_matches_formula() -> None:
    output, target = torch.randn(50, 4, dtype=torch.float64), torch.randint(0, 4, (50,))
    probabilities = output.softmax(1).numpy()
    expected = [
        sum((probabilities[row, : index + 1].sum() - (target[row].item() <= index)) ** 2 for index in range(3))
        for row in range(50)
    ]
    assert ranked_probability(output, target).numpy() == pytest.approx(np.array(expected))
    confident = torch.nn.functional.one_hot(target, 4).double() * 1e4
    assert float(ranked_probability(confident, target).max()) == pytest.approx(0)


def test_ordinal_loss_grows_with_class_distance() -> None:
    target, costs = torch.tensor([0]), []
    for index in range(5):
        output = torch.zeros(1, 5)
        output[0, index] = 20.0
        costs.append(float(OBJECTIVES[TASK].loss(output, target)))
    assert costs == sorted(costs)
    assert costs == pytest.approx([0, 1, 2, 3, 4], abs=1e-4)


def test_weighted_kappa_matches_scikit_learn() -> None:
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        target, predicted = (torch.randint(0, 5, (60,), generator=random) for _ in range(2))
        expected = cohen_kappa_score(target.numpy(), predicted.numpy(), labels=list(range(5)), weights="quadratic")
        assert weighted_kappa(target, predicted) == pytest.approx(expected)
    same = torch.zeros(10, dtype=torch.long)
    assert np.isnan(weighted_kappa(same, same))


def test_ordinal_run_trains_evaluates_and_predicts(home: Path) -> None:
    name = add_grades(home)
    started = start(templates()["breast_cancer"], DataChoice(dataset=name), "Grades", home)
    assert started is not None
    training = started.training.model_copy(update={"objective": TASK, "epochs": 30})
    project = started.model_copy(update={"training": training})
    data = prepare(project.data, home)
    assert [issue for issue in validate(project, data.schema) if issue.severity == "error"] == []
    run = fit_here(project, home)
    metrics = run.objective.evaluate(run.output_of("test"), data, data.split["test"], "test").metrics
    assert metrics["rank_error"] < 0.4
    assert metrics["kappa"] > 0.8
    rows = data.split["test"]
    inputs = [data.inputs[name][rows] for name in run.fields]
    curve = compute_metrics(run.model, run.objective, inputs, data.target[rows])
    assert {name: metrics[name] for name in curve} == pytest.approx(curve)
    assert "kappa" in curve
    (answer,) = predict(run, [data.row(int(data.split["test"][0]))])
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_non_numeric_classes_are_rejected(home: Path) -> None:
    name = add_grades(home, "abcde")
    started = start(templates()["breast_cancer"], DataChoice(dataset=name), "Grades", home)
    assert started is not None
    project = started.model_copy(update={"training": started.training.model_copy(update={"objective": TASK})})
    (issue,) = [
        candidate
        for candidate in validate(project, prepare(project.data, home).schema)
        if candidate.code == "objective"
    ]
    assert "a, b, c, d, e, are not numbers" in issue.message
    assert issue.fix is not None
    assert issue.fix.edit["training"] == {"objective": "classification"}
