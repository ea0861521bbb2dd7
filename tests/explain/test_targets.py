"""Which score is explained for objectives with special outputs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from netloom.data import Prepared, prepare
from netloom.document import DataChoice, Training
from netloom.document.loss_settings import Head
from netloom.explain import ExplainError
from netloom.explain.core.targets import choose, predict, select, target_names


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
