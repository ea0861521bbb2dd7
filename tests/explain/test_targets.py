"""Which score is explained for objectives with special outputs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.data import Prepared, add_file, prepare
from netloom.document import DataChoice, Training
from netloom.document.loss_settings import Head
from netloom.explain import ExplainError, explain
from netloom.explain.core.prediction import predict_example
from netloom.explain.core.targets import choose, predict, select, target_names
from netloom.explain.robustness.robustness import find_adversarial_example
from netloom.runs import fit_here
from tests.data.crafted import make_csv
from tests.explain.models import network
from tests.networks import project


def data_of(name: str, home: Path) -> Prepared:
    return prepare(DataChoice(dataset=name, options={"rows": 100} if name != "breast_cancer" else {}), home)


def test_single_logit_is_explained_for_either_class(home: Path) -> None:
    data, training = data_of("breast_cancer", home), Training(objective="binary_classification")
    output = torch.tensor([[-1.5]])
    predicted = choose(None, output, data, {}, training)
    assert (predicted.name, float(select(predicted, output, data))) == ("malignant", 1.5)
    other = choose("benign", output, data, {}, training)
    assert float(select(other, output, data)) == -1.5
    shares = predict(predicted, output, data).probabilities
    assert shares["benign"] == pytest.approx(1 / (1 + math.exp(1.5)), rel=1e-5)
    with pytest.raises(ExplainError, match="choose one of malignant, benign"):
        choose("sick", output, data, {}, training)


def test_label_target_is_its_logit(home: Path) -> None:
    data, training = data_of("scenes", home), Training(objective="multi_label")
    output = torch.tensor([[2.0, -1.0, 3.0, -4.0]])
    assert choose(None, output, data, {}, training).name == "triangle"
    target = choose("cross", output, data, {}, training)
    assert float(select(target, output, data)) == -4
    assert predict(target, output, data).text == "circle, triangle"


TUNED = [
    ("breast_cancer", "binary_classification", 1, {}),
    ("scenes", "multi_label", 4, {"rows": 200}),
    ("breast_cancer", "anomaly_detection", 30, {}),
]


@pytest.mark.parametrize(("dataset", "objective", "units", "options"), TUNED)
def test_explanations_and_attacks_decide_by_the_tuned_thresholds(
    dataset: str, objective: str, units: int, options: dict[str, int], home: Path
) -> None:
    """With the thresholds that answers use, the rows between them and one half are described like the answers."""
    run = fit_here(
        network(dataset, ("Flatten", {}), ("Linear", {"units": units}), epochs=1, objective=objective, options=options),
        home,
    )
    rows = run.data.split["test"].tolist()
    inputs = {name: values[rows] for name, values in run.data.inputs.items()}
    answers = run.objective.answers(run.output_of("test"), run.data, inputs, run.calibration)
    texts = [
        ", ".join(answer["prediction"]) or "none" if objective == "multi_label" else answer["prediction"]
        for answer in answers
    ]
    for row, text in zip(rows, texts, strict=True):
        assert predict_example(run, row).prediction.text.split(", reconstruction error")[0] == text
    assert explain(run, "saliency", rows[0], proofs=False).prediction == predict_example(run, rows[0]).prediction
    untuned = run.objective.answers(run.output_of("test"), run.data, inputs)
    changed = [row for row, one, two in zip(rows, answers, untuned, strict=True) if one != two]
    assert changed
    if objective != "anomaly_detection":  # whose error is explained, whatever is predicted
        least = find_adversarial_example(run, changed[0])
        assert least.before.text == predict_example(run, changed[0]).prediction.text != least.after.text


def test_two_classes_of_several_outputs_are_decided_by_their_threshold(home: Path) -> None:
    lines = (f"{i % 17},{'yes' if i % 17 > 12 and i % 3 else 'no'},{i % 17 + 0.5}" for i in range(300))
    info = add_file(make_csv("x,good,size", lines), "a.csv", home)
    targets: dict[str, Any] = {"good": {"role": "target"}, "size": {"role": "target"}}
    document = project(
        {
            "x": ("Input", {"field": "features", "kind": "vector", "shape": [1]}),
            "good": ("Linear", {"units": 1}),
            "size": ("Linear", {"units": 1}),
            "o1": ("Output", {"name": "good"}),
            "o2": ("Output", {"name": "size"}),
        },
        [("x", "good"), ("x", "size"), ("good", "o1"), ("size", "o2")],
        data=DataChoice(dataset=info.name, options={"task": "several_outputs", "columns": targets}),
        training=Training(
            objective="several_outputs",
            outputs={"good": Head(objective="binary_classification")},
            epochs=30,
            learning_rate=0.05,
        ),
    )
    run = fit_here(document, home)
    assert run.calibration["0:threshold"] < 0.4, "one of six rows is good"
    rows = run.data.split["test"].tolist()
    inputs = {name: values[rows] for name, values in run.data.inputs.items()}
    answers = run.objective.answers(run.output_of("test"), run.data, inputs, run.calibration)
    decided = [answer["prediction"]["good"] for answer in answers]
    assert "yes" in decided
    for row, text in zip(rows, decided, strict=True):
        assert predict_example(run, row).prediction.text.startswith(f"good: {text}, ")
    attacked = find_adversarial_example(run, rows[decided.index("yes")], output="good")
    assert attacked.before.text.startswith("good: yes, ")
    assert attacked.after.text.startswith("good: no, ")


def test_pair_target_is_its_distance(home: Path) -> None:
    data, training = data_of("same_digits", home), Training(objective="siamese")
    output = torch.tensor([[0.0, 1.0, 3.0, 5.0]])
    target = choose(None, output, data, {}, training)
    assert float(select(target, output, data)) == pytest.approx(5)


def test_multi_output_target_uses_the_units_of_its_output(home: Path) -> None:
    data, training = data_of("shape_facts", home), Training(objective="several_outputs")
    output = torch.tensor([[0.1, 0.2, 0.9, 0.3, 0.5]])
    areas = data.raw.target[data.split["train"].numpy(), 1]
    default = choose(None, output, data, {}, training)
    assert default.name == "shape: triangle"
    area = choose("area", output, data, {}, training)
    assert float(select(area, output, data)) == pytest.approx(0.5 * areas.std() + areas.mean(), rel=1e-5)
    assert predict(default, output, data).text.startswith("shape: triangle, area: ")
    assert target_names(data, training) == (
        "shape", "shape: circle", "shape: square", "shape: triangle", "shape: cross", "area",
    )  # fmt: skip
    assert target_names(data, Training(objective="several_outputs", outputs={"area": Head(weight=2.0)}))[-1] == "area"
