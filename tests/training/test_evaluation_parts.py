"""The parts of an evaluation, which pages and the command line show by their types."""

from __future__ import annotations

import json

import pytest

from netloom.training.objectives.evaluation import (
    ClassReport,
    Evaluation,
    PanelList,
    ResidualPlot,
    SampleImages,
    ScoreRow,
    ScoreTable,
)

ROWS: list[ScoreRow] = [{"class": "a", "recall": 0.5}]
CLASSES: dict[str, object] = {"kind": "classes", "title": "Predicted", "values": [[0, 1]]}


def test_evaluation_has_a_part_of_its_own_type_for_each_kind_of_result() -> None:
    evaluation = Evaluation(
        "test", 2, {}, classes=("a", "b"), confusion=[[1, 0], [0, 1]], report=ROWS, parts_report=ROWS
    )
    assert evaluation.parts == [ClassReport(("a", "b"), [[1, 0], [0, 1]], ROWS), ScoreTable(ROWS)]
    residuals = ResidualPlot({"target": [1.0], "predicted": [2.0]})
    assert Evaluation("test", 1, {}, report=ROWS, residuals=residuals.values).parts == [ScoreTable(ROWS), residuals]
    images = {"Generated": [[[[0.5]]]]}
    assert Evaluation("test", 1, {"likeness": 0.5}, samples=images).parts == [SampleImages(images, judged=True)]
    assert Evaluation("test", 1, {}, samples=images).parts == [SampleImages(images, judged=False)]
    assert Evaluation("test", 1, {"perplexity": 2.0}).parts == []


def test_part_of_an_example_is_read_by_its_kind() -> None:
    panel: dict[str, object] = {"row": 3, "caption": "Row 3", "parts": [CLASSES]}
    stored = Evaluation("test", 1, {}, classes=("a", "b")).as_json() | {"panels": [panel]}
    read = Evaluation.from_json(json.loads(json.dumps(stored)))
    assert read.parts == [PanelList([panel], ("a", "b"))]  # type: ignore[list-item]
    panel["parts"] = [{**CLASSES, "kind": "picture"}]
    with pytest.raises(ValueError, match=r"panels\.0\.parts\.0\.picture\.values"):
        Evaluation.from_json(stored)
