"""A metric on the curves has the unit of the metric of that name in an evaluation."""

from __future__ import annotations

import pytest
import torch

from netloom.data import prepare
from netloom.templates import templates
from netloom.training.objectives import OBJECTIVES


@pytest.mark.parametrize("template", ["diabetes", "sine", "station_dlinear", "shapes_two_outputs"])
def test_errors_on_curves_are_those_of_an_evaluation(template: str) -> None:
    project = templates()[template].project
    data, training = prepare(project.data), project.training
    objective = OBJECTIVES[training.objective].described(training, data.schema)
    rows, random = data.split["validation"][:50], torch.Generator().manual_seed(0)
    width = sum(len(part.classes) or 1 for part in data.schema.target.parts) or data.target[0].numel()
    output = torch.randn(len(rows), width, generator=random)
    scores = objective.configured(training, data, "cpu").scores(output, data.target[rows])
    evaluated = objective.evaluate(output, data, rows, "validation").metrics
    errors = {name: float(value) / scores.count for name, value in scores.sums.items() if "mae" in name}
    assert errors
    assert errors == pytest.approx({name: evaluated[name] for name in errors}, rel=1e-4)
    assert errors.keys() <= objective.metrics.keys()
