"""Segmentation and tagging: Dice, IoU and entities by hand and by another way."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from builder.check import validate
from builder.data import prepare, schema
from builder.data.encode import IGNORE, spans
from builder.explain import explain
from builder.graph import DataChoice, Project, Training
from builder.train import OBJECTIVES, TrainedRun, evaluate, fit_here, predict
from builder.train.batches import measure
from builder.train.loop import Watch
from builder.train.objectives.tagging import entity_scores
from tests.networks import chain, project
from tests.train.runs import Recorder, loop

SEGMENTATION, TAGGING = OBJECTIVES["segmentation"], OBJECTIVES["tagging"]
FEW: dict[str, Any] = {"rows": 120, "size": 16}


def masks(**training: Any) -> Project:
    """A small network for masks, with dropout."""
    return chain(
        ("Input", {"field": "image", "kind": "image", "shape": [1, 16, 16]}),
        ("Conv2d", {"filters": 8}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.1}),
        ("Conv2d", {"filters": 5}),
        data=DataChoice(dataset="shape_masks", options=FEW),
        training=Training(
            **{
                "objective": "segmentation",
                "epochs": 3,
                "batch_size": 16,
                "learning_rate": 0.01,
                "device": "cpu",
                **training,
            }
        ),
    )


def tags(**training: Any) -> Project:
    """A small tagger, with dropout."""
    data = DataChoice(dataset="requests", options={"rows": 300})
    found = schema(data)
    assert found is not None
    (field,) = found.inputs
    return chain(
        ("Input", field.parameters()),
        ("Embedding", {"vocabulary": field.vocabulary, "dim": 16}),
        ("Dropout", {"rate": 0.1}),
        ("LSTM", {"hidden_size": 16, "bidirectional": True}),
        ("Linear", {"units": len(found.target.classes)}),
        data=data,
        training=Training(
            **{
                "objective": "tagging",
                "epochs": 8,
                "batch_size": 32,
                "learning_rate": 0.02,
                "device": "cpu",
                **training,
            }
        ),
    )


def both(head: int | None = None, outputs: int = 2, **training: Any) -> Project:
    """A small network with two outputs: classes and tags."""
    data = DataChoice(dataset="commands", options={"rows": 300})
    found = schema(data)
    assert found is not None
    (field,), target = found.inputs, found.target
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", field.parameters()),
        "embedding_1": ("Embedding", {"vocabulary": field.vocabulary, "dim": 16}),
        "gru_1": ("GRU", {"hidden_size": 16, "bidirectional": True}),
        "max_1": ("Max", {}),
        "linear_1": ("Linear", {"units": head or len(target.classes)}),
        "linear_2": ("Linear", {"units": len(target.tags)}),
        "output_1": ("Output", {"name": "intent"}),
        "output_2": ("Output", {"name": "entities"}),
    }
    edges = [
        ("input_1", "embedding_1"), ("embedding_1", "gru_1"), ("gru_1", "max_1"), ("max_1", "linear_1"),
        ("linear_1", "output_1"), ("gru_1", "linear_2"), ("linear_2", "output_2"),
    ]  # fmt: skip
    if outputs == 1:
        del nodes["output_2"], nodes["linear_2"]
        edges = edges[:-2]
    short = {"objective": "class_and_tags", "epochs": 2, "batch_size": 32, "learning_rate": 0.02, "device": "cpu"}
    return project(nodes, edges, data=data, training=Training(**{**short, **training}))


@cache
def tagger() -> TrainedRun:
    return fit_here(tags())


def as_logits(numbers: torch.Tensor, classes: int, axis: int) -> torch.Tensor:
    return 20.0 * torch.nn.functional.one_hot(numbers.long(), classes).movedim(-1, axis)


def test_dice_and_iou_by_hand() -> None:
    true = torch.tensor([[[1, 1, 0], [2, 0, 0]]])
    said = torch.tensor([[[1, 0, 0], [1, 0, 0]]])
    scores = SEGMENTATION.scores(as_logits(said, 4, 1), true)
    found = SEGMENTATION.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    # Class 1: one pixel of two and two; class 2: none of one; class 3 is nowhere, so it does not count.
    assert found["dice"] == pytest.approx((2 * 1 / (2 + 2) + 0) / 2)
    assert found["iou"] == pytest.approx((1 / 3 + 0) / 2)
    assert found["accuracy"] == pytest.approx(4 / 6)


def test_segmentation_equals_a_loop_over_classes(home: Path) -> None:
    data = prepare(DataChoice(dataset="shape_masks", options=FEW), home)
    rows = data.split["test"]
    true = data.target[rows]
    output = torch.randn(len(rows), 5, 16, 16, generator=torch.Generator().manual_seed(3)) + 0.2 * as_logits(true, 5, 1)
    found = SEGMENTATION.evaluate(output, data, rows, "test")
    said = output.argmax(1)
    dice, iou = [], []
    for number in range(1, 5):
        one, other = {tuple(p) for p in (said == number).nonzero().tolist()}, {
            tuple(p) for p in (true == number).nonzero().tolist()}  # fmt: skip
        dice.append(2 * len(one & other) / (len(one) + len(other)))
        iou.append(len(one & other) / len(one | other))
    assert found.metrics["dice"] == pytest.approx(sum(dice) / 4)
    assert found.metrics["iou"] == pytest.approx(sum(iou) / 4)
    assert found.report is not None
    assert [line["dice"] for line in found.report[1:]] == pytest.approx(dice)
    live = measure(torch.nn.Identity(), SEGMENTATION, [output], true)
    assert {name: live[name] for name in ("dice", "iou", "accuracy")} == pytest.approx(
        {name: found.metrics[name] for name in ("dice", "iou", "accuracy")}, rel=1e-5
    )
    assert [part["title"] for part in found.panels[0]["parts"]] == ["Picture", "True", "Said"]
    assert found.panels[0]["parts"][1]["values"] == data.target[found.panels[0]["row"]].tolist()
    json.dumps(found.as_json(), allow_nan=False)


def test_masks_of_the_data_are_those_of_the_shapes(home: Path) -> None:
    shapes = prepare(DataChoice(dataset="shapes", options=FEW), home)
    data = prepare(DataChoice(dataset="shape_masks", options=FEW), home)
    assert shapes.masks is not None
    assert torch.equal(data.target > 0, shapes.masks)
    for row in range(20):
        assert set(data.target[row][shapes.masks[row]].tolist()) == {int(shapes.target[row]) + 1}
        assert data.target_text(row) == shapes.target_text(row)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-a I-a O B-a", [(0, 1, "a"), (3, 3, "a")]),
        ("B-a B-a", [(0, 0, "a"), (1, 1, "a")]),
        ("B-a I-b I-b", [(0, 0, "a"), (1, 2, "b")]),
        ("I-a I-a O I-b", [(0, 1, "a"), (3, 3, "b")]),
        ("B-a O I-a", [(0, 0, "a"), (2, 2, "a")]),
    ],
)
def test_spans_of_tags(tags: str, expected: list[tuple[int, int, str]]) -> None:
    assert spans(tags.split()) == expected


def slow_spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """Every stretch of words that is one entity: it begins where one can begin, goes on by I, and cannot go on."""
    found = set()
    for first in range(len(tags)):
        for last in range(first, len(tags)):
            kind = tags[first][2:]
            begins = tags[first][0] == "B" or (
                tags[first][0] == "I" and (first == 0 or tags[first - 1] not in (f"B-{kind}", f"I-{kind}"))
            )
            inside = all(tags[place] == f"I-{kind}" for place in range(first + 1, last + 1))
            ends = last + 1 == len(tags) or tags[last + 1] != f"I-{kind}"
            if begins and inside and ends:
                found.add((first, last, kind))
    return found


def test_entity_scores_equal_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(5)
    names = ["O", "B-a", "I-a", "B-b", "I-b"]
    rows = [[[names[int(n)] for n in torch.randint(0, 5, (9,), generator=generator)] for _ in range(60)] for _ in "ab"]
    assert [set(spans(row)) for row in rows[0]] == [slow_spans(row) for row in rows[0]]
    right = said = there = 0
    for one, other in zip(*rows, strict=True):
        right += len(slow_spans(one) & slow_spans(other))
        there += len(slow_spans(one))
        said += len(slow_spans(other))
    precision, recall = right / said, right / there
    expected = (precision, recall, 2 * precision * recall / (precision + recall))
    found = entity_scores([spans(row) for row in rows[0]], [spans(row) for row in rows[1]])
    assert found == pytest.approx(expected)
    assert entity_scores([[]], [[]]) == (0.0, 0.0, 0.0)


def test_entities_are_counted_after_each_epoch_as_at_the_end() -> None:
    """On tensors, in batches and with rows of different length; at the end they are counted tag by tag."""
    data = tagger().data
    rows = data.split["train"]
    noise = torch.randn(len(rows), data.target.shape[1], len(data.schema.target.classes))
    output = noise + 0.1 * as_logits(data.target[rows].clamp(min=0), len(data.schema.target.classes), 2)
    found = measure(torch.nn.Identity(), TAGGING.configured(Training(), data, "cpu"), [output], data.target[rows])
    expected = TAGGING.evaluate(output, data, rows, "train").metrics
    assert 0.1 < expected["entity_f1"] < 0.95
    assert found["entity_f1"] == pytest.approx(expected["entity_f1"])
    assert found["accuracy"] == pytest.approx(expected["accuracy"])


def test_padding_counts_nowhere() -> None:
    target = torch.tensor([[1, 2, IGNORE, IGNORE], [0, IGNORE, IGNORE, IGNORE]])
    output = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(2))
    other = output.clone()
    other[target == IGNORE] = 1e3 * torch.randn(5, 3)
    first, second = (TAGGING.scores(value, target) for value in (output, other))
    assert first.count == second.count == 3
    by_hand = -sum(
        float(output[row, place].log_softmax(0)[target[row, place]]) for row, place in ((0, 0), (0, 1), (1, 0))
    )
    assert float(first.sums["loss"]) == pytest.approx(by_hand, rel=1e-5) == float(second.sums["loss"])
    assert float(TAGGING.loss(other, target)) == pytest.approx(by_hand / 3, rel=1e-5)


def test_a_perfect_tagger_is_told_so() -> None:
    data = tagger().data
    rows = data.split["test"]
    output = as_logits(data.target[rows].clamp(min=0), len(data.schema.target.classes), 2)
    found = TAGGING.evaluate(output, data, rows, "test")
    assert found.metrics["entity_f1"] == found.metrics["accuracy"] == 1.0
    assert found.report is not None
    true = sum(len(spans(list(data.example(int(row)).tags))) for row in rows)
    assert sum(line["examples"] for line in found.report) == true
    json.dumps(found.as_json(), allow_nan=False)


def test_tags_belong_to_their_words() -> None:
    data = tagger().data
    for row in range(40):
        example = data.example(row)
        assert len(example.tags) == len(example.tokens)
        known = data.target[row][data.target[row] != IGNORE]
        length = data.schema.inputs[0].shape[0]
        assert [data.schema.target.classes[number] for number in known] == list(example.tags[:length])
        assert (data.inputs["text"][row] != 0).sum() == len(known)


def test_answers_and_explanations_of_a_tagger() -> None:
    run = tagger()
    row = int(run.data.split["test"][0])
    (answer,) = predict(run, [run.data.row(row)])
    example = run.data.example(row)
    assert len(answer["prediction"]) == len(example.tokens)
    assert [(item["first"], item["last"], item["kind"]) for item in answer["entities"]] == spans(answer["prediction"])
    found = explain(run, "integrated_gradients", row, target={"position": 1, "token": "O"})
    assert (found.target.kind, found.target.position, found.target.name) == ("tags", 1, "O")
    with torch.no_grad():
        logits = run.model(run.data.inputs["text"][row : row + 1])
    assert found.proofs.completeness is not None
    assert found.proofs.completeness.answer == pytest.approx(float(logits[0, 1, 0]), rel=1e-4)
    assert found.prediction.text.split() == answer["prediction"]


def test_an_explanation_of_a_mask_is_of_its_pixels(home: Path) -> None:
    run = fit_here(masks(epochs=1), home)
    row = int(run.data.split["test"][0])
    found = explain(run, "integrated_gradients", row, target="square")
    with torch.no_grad():
        logits = run.model(run.data.inputs["image"][row : row + 1])[0]
    said = logits.argmax(0) == 2
    region = said if said.any() else torch.ones_like(said)
    assert found.proofs.completeness is not None
    assert found.proofs.completeness.answer == pytest.approx(float(logits[2][region].mean()), rel=1e-4, abs=1e-5)
    (answer,) = predict(run, [run.data.row(row)])
    assert answer["prediction"] == logits.argmax(0).tolist()
    assert sum(answer["shares"].values()) == pytest.approx(1)


@pytest.mark.parametrize("make", [masks, tags, both])
def test_the_loss_falls_and_resume_equals_uninterrupted(make: Any, home: Path) -> None:
    document = make(epochs=2)
    whole = loop(document, home)
    before = whole.evaluate("validation")["loss"]
    whole.run(Watch())
    assert whole.evaluate("validation")["loss"] < 0.8 * before
    first = loop(document, home)
    first.run(Recorder(stop_at=8))
    saved = first.checkpoint()
    second = loop(document, home)
    second.restore(saved, first.best.weights)
    second.run(Watch())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_two_outputs_are_the_sum_of_both_objectives(home: Path) -> None:
    run = fit_here(both(), home)
    rows = run.data.split["test"]
    with torch.no_grad():
        classes, tags = run.model(run.data.inputs["text"][rows])
    target = run.data.target[rows]
    objective = OBJECTIVES["class_and_tags"]
    output = run.output({"text": run.data.inputs["text"][rows]})
    assert torch.allclose(output, torch.cat([classes, tags.flatten(1)], dim=1), atol=1e-6)
    expected = OBJECTIVES["classification"].loss(classes, target[:, 0]) + TAGGING.loss(tags, target[:, 1:])
    assert float(objective.loss(output, objective.target(run.data)[rows])) == pytest.approx(float(expected), rel=1e-5)
    found = evaluate(run)
    assert found.metrics["accuracy"] == pytest.approx(float((classes.argmax(1) == target[:, 0]).float().mean()))
    known = target[:, 1:] != IGNORE
    right = (tags.argmax(2) == target[:, 1:])[known].float().mean()
    assert found.metrics["word_accuracy"] == pytest.approx(float(right))
    assert found.metrics["loss"] == pytest.approx(float(expected), rel=1e-4)
    (answer,) = predict(run, [run.data.row(int(rows[0]))])
    assert answer["prediction"] == run.data.schema.target.classes[int(classes[0].argmax())]
    assert answer["entities"] == [{"first": a, "last": b, "kind": kind} for a, b, kind in spans(answer["tags"])]
    json.dumps(found.as_json(), allow_nan=False)


def test_two_outputs_are_checked_one_by_one() -> None:
    found = schema(DataChoice(dataset="commands", options={"rows": 300}))
    assert not [issue for issue in validate(both(), found) if issue.severity == "error"]
    (wide,) = [issue for issue in validate(both(head=9), found) if issue.severity == "error"]
    assert (wide.node, wide.code) == ("output_1", "width")
    assert "the 5 classes of the data need (N, 5)" in wide.message
    assert wide.fix is not None
    (few,) = [issue for issue in validate(both(outputs=1), found) if issue.severity == "error"]
    assert few.message.endswith("this network has 1.")


def test_a_wrong_target_or_shape_is_an_issue(home: Path) -> None:
    found = schema(DataChoice(dataset="shape_masks", options=FEW), home)
    picture = ("Input", {"field": "image", "kind": "image", "shape": [1, 16, 16]})
    wide = chain(picture, ("Conv2d", {"filters": 3}), training=Training(objective="segmentation"))
    (issue,) = [issue for issue in validate(wide, found) if issue.severity == "error"]
    assert "the 5 classes of the data need (N, 5, 16, 16)" in issue.message
    assert issue.fix is not None
    other = chain(picture, ("Conv2d", {"filters": 5}), training=Training(objective="classification"))
    issues = [issue for issue in validate(other, found) if issue.code == "objective"]
    assert "a class for each pixel" in issues[0].message
    assert issues[0].fix is not None
    assert "segmentation" in issues[0].fix.title
    words = validate(tags().model_copy(update={"training": Training(objective="regression")}), tagger().data.schema)
    assert any("a tag for each word" in issue.message for issue in words)
