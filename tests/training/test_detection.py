"""Object detection: its metrics against those of COCO, its loss and decoding against closed forms."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.nn.functional import softplus

from netloom.data import Prepared, prepare
from netloom.data.augmentation import Augmenter, parsed, unsuitable_reason
from netloom.data.augmentation.augmentation import Motion, Random
from netloom.data.boxes import padded
from netloom.data.preparation.box_decoding import RARITY, cell_boxes, center_logits, detected
from netloom.data.targets import target_of
from netloom.document import Augment, DataChoice, Training
from netloom.runs import evaluate, fit_here
from netloom.tasks import task
from netloom.tasks.detection import Detection
from netloom.tasks.true_labels.objects import ObjectsLabel
from netloom.training import OBJECTIVES
from netloom.training.objectives.average_precision import average_precisions, matched
from netloom.training.objectives.detection_loss import generalized_iou, row_losses
from tests.data.test_augment import PICTURE
from tests.networks import chain

GENERATOR = torch.Generator().manual_seed(0)
NUMBERS = np.random.default_rng(0)
SIDE = 100.0


@pytest.fixture
def shapes(home: Path) -> Prepared:
    return prepare(DataChoice(dataset="shape_boxes", options={"rows": 60}), home)


def objects(count: int, classes: int = 3) -> np.ndarray:
    low = NUMBERS.uniform(0, 0.7, (count, 2))
    return np.concatenate(
        [NUMBERS.integers(classes, size=(count, 1)), low, low + NUMBERS.uniform(0.1, 0.3, low.shape)], 1
    )


def detections(true: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return shifted, duplicated, confused and invented objects with distinct scores, highest first."""
    every = []
    for own in true:
        kinds = [own, own, objects(2)]
        shifted = np.concatenate(kinds)
        shifted[:, 1:] = (shifted[:, 1:] + NUMBERS.normal(0, 0.02, (len(shifted), 4))).clip(0, 1)
        wrong = NUMBERS.random(len(shifted)) < 0.2
        shifted[wrong, 0] = NUMBERS.integers(3, size=int(wrong.sum()))
        every.append(shifted)
    scores = NUMBERS.permutation(sum(map(len, every))) / 1000 + 0.01
    parts = np.split(scores, np.cumsum([len(own) for own in every])[:-1])
    table = torch.tensor(padded(every))
    values = torch.zeros(table.shape[:2], dtype=torch.float64)
    for row, part in zip(values, parts, strict=True):
        row[: len(part)] = torch.tensor(part)
    order = values.argsort(1, descending=True)
    table = table.gather(1, order[..., None].expand_as(table))
    return table[..., 0].long(), values.gather(1, order), table[..., 1:]


def in_coco(true: list[np.ndarray], found: tuple[torch.Tensor, ...]) -> Any:
    """Return the precision of COCO's own evaluation, (thresholds, recalls, classes)."""

    def box(sides: Any) -> list[float]:
        left, top, right, bottom = (float(side) * SIDE for side in sides)
        return [left, top, right - left, bottom - top]

    annotations = [
        {"image_id": image, "category_id": int(item[0]), "bbox": box(item[1:]), "iscrowd": 0}
        | {"area": box(item[1:])[2] * box(item[1:])[3]}
        for image, own in enumerate(padded(true))
        for item in own
        if item[0] >= 0
    ]
    coco: Any = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(true))],
        "categories": [{"id": number} for number in range(3)],
        "annotations": [item | {"id": number} for number, item in enumerate(annotations, 1)],
    }
    results = [
        {"image_id": image, "category_id": int(number), "bbox": box(sides), "score": float(score)}
        for image, row in enumerate(zip(*found, strict=True))
        for number, score, sides in zip(*row, strict=True)
        if score > 0
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, 2]


def test_average_precision_equals_that_of_coco() -> None:
    true = [objects(count) for count in (3, 0, 5, 1, 2, 4, 0, 3)]
    found = detections(true)
    matches = matched(found, torch.tensor(padded(true)))
    expected = in_coco(true, found).mean(1)
    for number in range(3):
        values = average_precisions(matches, number)
        assert values is not None
        np.testing.assert_allclose(values.numpy(), expected[:, number], atol=1e-9)
    assert 0.2 < expected.mean() < 0.8  # neither trivially right nor wrong


def test_classes_without_objects_have_no_average_precision_and_missed_ones_have_zero() -> None:
    true = torch.tensor(padded([np.array([[1, 0.1, 0.1, 0.5, 0.5]])]))
    nothing = torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1), torch.zeros(1, 1, 4)
    matches = matched(nothing, true)
    assert average_precisions(matches, 0) is None
    assert average_precisions(matches, 1).tolist() == [0.0] * 10  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([0.0, 0.0, 0.5, 0.5], 1.0),
        ([0.25, 0.0, 0.75, 0.5], 1 / 3),  # half of each overlaps, and their hull has no other area
        ([0.5, 0.5, 1.0, 1.0], -0.5),  # apart in opposite corners: half of the hull is empty
    ],
)
def test_generalized_iou_matches_the_closed_form(second: list[float], expected: float) -> None:
    first = torch.tensor([0.0, 0.0, 0.5, 0.5])
    assert float(generalized_iou(first, torch.tensor(second))) == pytest.approx(expected)


def ideal(target: torch.Tensor, classes: int, side: int) -> torch.Tensor:
    """Return an output (N, classes + 4, side, side) whose objects are those of a target."""
    output = torch.zeros(len(target), classes + 4, side, side)
    output[:, :classes] = -12.0
    for row, own in zip(output, target, strict=True):
        for number, left, top, right, bottom in own[own[:, 0] >= 0] * torch.tensor([1, *[float(side)] * 4]):
            column, line = int((left + right) / 2), int((top + bottom) / 2)
            row[int(number), line, column] = 12.0
            x, y = column + 0.5, line + 0.5
            distances = torch.stack([x - left, y - top, right - x, bottom - y])
            row[classes:, line, column] = distances + torch.log(-torch.expm1(-distances))  # the inverse of softplus
    return output


def noisy(target: torch.Tensor) -> torch.Tensor:
    """Return an output (N, 8, 12, 12) with uncertain objects, some of which are wrong."""
    output = ideal(target, 4, 12)
    noise = torch.randn(output.shape, generator=GENERATOR)
    return torch.cat([output[:, :4] * 0.2 + noise[:, :4], output[:, 4:] + 0.1 * noise[:, 4:]], 1)


def test_decoded_objects_are_those_that_were_written_into_the_output(shapes: Prepared) -> None:
    target = shapes.target[:10]
    classes, scores, boxes = detected(ideal(target, 4, 24))
    for row, own in enumerate(target):
        true = own[own[:, 0] >= 0]
        called = scores[row] > 0.5
        got = torch.cat([classes[row][called][:, None].float(), boxes[row][called]], 1)
        assert len(got) == len(true)
        torch.testing.assert_close(sorted(got.tolist()), sorted(true.tolist()), atol=1e-5, rtol=0)


def test_a_new_network_expects_few_objects() -> None:
    output = torch.zeros(1, 6, 3, 3)
    assert center_logits(output).sigmoid().unique().tolist() == pytest.approx([0.1])
    assert math.exp(-RARITY) == pytest.approx(1 / 9)


def test_boxes_end_at_the_image_but_learn_from_beyond_it() -> None:
    output = torch.full((1, 5, 1, 1), 5.0, requires_grad=True)
    _, _, boxes = detected(output)
    assert boxes.tolist() == [[[0.0, 0.0, 1.0, 1.0]]]
    assert float(cell_boxes(output).detach().min()) < 0
    loss = row_losses(output, torch.tensor([[[0, 0.2, 0.2, 0.8, 0.8]]])).sum()
    (gradient,) = torch.autograd.grad(loss, output)
    assert bool((gradient[0, 1:] > 0).all())


def test_the_loss_prefers_the_true_objects_and_ignores_unused_rows(shapes: Prepared) -> None:
    target = shapes.target[:12]
    right = row_losses(ideal(target, 4, 24), target)
    moved = row_losses(ideal(target, 4, 24).roll(1, dims=3), target)
    has_objects = (target[..., 0] >= 0).any(1)
    assert bool((right[has_objects] < 0.3 * moved[has_objects]).all())
    output = torch.randn(12, 8, 6, 6, generator=GENERATOR)
    longer = torch.cat([target, torch.tensor([[[-1.0, 0, 0, 0, 0]]]).expand(12, 3, 5)], 1).flip(1)
    torch.testing.assert_close(row_losses(output, longer), row_losses(output, target))
    assert bool(row_losses(output, target[:, :0].new_tensor([[[-1.0, 0, 0, 0, 0]]]).expand(12, 1, 5)).isfinite().all())


def test_losses_of_single_rows_have_finite_gradients_under_vmap(shapes: Prepared) -> None:
    output = torch.randn(6, 8, 6, 6, generator=GENERATOR)
    target = shapes.target[:6]
    rows = torch.func.vmap(lambda one, true: row_losses(one[None], true[None])[0])(output, target)
    torch.testing.assert_close(rows, row_losses(output, target))
    extreme = (output * 200).requires_grad_()
    (gradient,) = torch.autograd.grad(row_losses(extreme, target).sum(), extreme)
    assert bool(gradient.isfinite().all())


def test_the_score_threshold_has_the_best_f1(shapes: Prepared) -> None:
    objective, rows = OBJECTIVES["detection"], torch.arange(40)
    output = noisy(shapes.target[rows])
    chosen = objective.calibrate(output, shapes, rows)
    best = objective.evaluate(output, shapes, rows, "validation", chosen).metrics["f1"]
    others = [
        objective.evaluate(output, shapes, rows, "validation", {"threshold": limit}).metrics["f1"]
        for limit in np.linspace(0.02, 0.98, 25)
    ]
    assert 0.3 < best < 1
    assert best >= max(others)
    assert objective.calibrate(output[:, :, :1, :1] * 0 - 20, shapes, rows) == {}  # nothing is found at all


def test_two_detectors_are_compared_by_the_objects_of_their_images(shapes: Prepared) -> None:
    """As before a promotion."""
    label, names = task("detection").true_label(shapes.schema), shapes.schema.target.classes
    assert label is not None
    true, rows = label.of_rows(shapes, np.arange(60)), shapes.target.numpy()
    exact = [[{**item, "score": 1.0} for item in row] for row in true]
    assert {label.error(*pair) for pair in zip(exact, true, strict=True)} == {0.0}
    index = next(index for index, row in enumerate(rows) if (row[:, 0] >= 0).sum() == 2)
    first, second = exact[index]
    moved = [side + 0.3 * (first["box"][2] - first["box"][0]) for side in first["box"]]
    assert label.error([first], true[index]) == pytest.approx(1 / 3)
    assert label.error([first, first, second], true[index]) == pytest.approx(1 / 5), "found twice"
    assert label.error([{**first, "box": moved}, second], true[index]) == 0.5, "an IoU below 0.5"
    assert label.error([{**first, "class": names[names.index(first["class"]) - 1]}], true[index]) == 1
    assert (label.error([], []), label.error([first], [])) == (0.0, 1.0)
    assert label.is_comparable(ObjectsLabel(names[::-1]))
    assert not label.is_comparable(ObjectsLabel(names[1:]))


def test_curves_and_evaluation_count_the_same_objects(shapes: Prepared) -> None:
    objective, rows = OBJECTIVES["detection"], torch.arange(60)
    output = noisy(shapes.target)
    batches = [objective.scores(output[part], shapes.target[part]) for part in (rows[:23], rows[23:])]
    sums = {name: sum(float(batch.sums[name]) for batch in batches) for name in batches[0].sums}
    values = {name: torch.cat([batch.values[name] for batch in batches]).numpy() for name in batches[0].values}
    curve = objective.finish({name: total / 60 for name, total in sums.items()}) | objective.metrics_of_values(values)
    assert 0 < curve["map"] < 1
    result = objective.evaluate(output, shapes, rows, "test", {"threshold": 0.3})
    assert curve == pytest.approx({name: result.metrics[name] for name in curve})


def test_metrics_of_some_rows_are_those_of_their_evaluation(shapes: Prepared) -> None:
    """Confidence intervals compute what belongs to each row only once."""
    objective, rows = OBJECTIVES["detection"], torch.arange(60)
    output = noisy(shapes.target)
    chosen = {"threshold": 0.3}
    metrics = objective.metrics_of_parts(output, shapes, rows, "test", chosen)
    for places in (np.arange(len(rows)), np.array([5, 0, 3])):
        expected = objective.evaluate(output[places], shapes, rows[places], "test", chosen).metrics
        assert metrics(places) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("horizontal_flip", {"chance": 1.0}),
        ("vertical_flip", {"chance": 0.5}),
        ("crop", {"padding": 0.2}),
        ("rotate", {"degrees": 30.0}),
        ("scale", {"smallest": 0.6}),
    ],
)
def test_boxes_move_with_their_image(name: str, params: dict[str, Any]) -> None:
    """A bright rectangle is still surrounded by its box; without rotation, the box is the smallest around it."""
    height, width, count = 40, 60, 12
    pixels, own = np.zeros((count, 1, height, width), np.float32), []
    for row in range(count):
        top, left = NUMBERS.integers(8, 20, 2)
        bottom, right = top + NUMBERS.integers(6, 12), left + NUMBERS.integers(8, 20)
        pixels[row, 0, top:bottom, left:right] = 1
        own.append(np.array([[1, left / width, top / height, right / width, bottom / height]]))
    sources = Random(torch.Generator().manual_seed(1), np.random.default_rng(1))
    values = torch.tensor(pixels)
    motion = parsed(Augment(kind=name, params=params))
    assert isinstance(motion, Motion)
    move = motion.moves(values, PICTURE, sources)
    images, target = move(values, False), target_of("boxes").moved(torch.tensor(padded(own)), move, values.shape)
    assert not torch.equal(images, values)
    for image, true in zip(images[:, 0], target[:, 0].tolist(), strict=True):
        lines, columns = (image > 0.5).nonzero(as_tuple=True)
        around = [int(columns.min()), int(lines.min()), int(columns.max()) + 1, int(lines.max()) + 1]
        box = [side * size for side, size in zip(true[1:], (width, height, width, height), strict=True)]
        slack = 1.0 if name != "rotate" else 2.0
        assert true[0] == 1
        assert box == pytest.approx(around, abs=slack)


def test_augmented_batches_have_the_boxes_of_their_images(shapes: Prepared) -> None:
    augmenter = Augmenter([Augment(kind="horizontal_flip", params={"chance": 1.0})], shapes, ["image"])
    (images,), target, _ = augmenter([shapes.inputs["image"]], shapes.target, (1, 2, 3))
    torch.testing.assert_close(images, shapes.inputs["image"].flip(3))
    expected = shapes.target.clone()
    expected[..., 1], expected[..., 3] = 1 - shapes.target[..., 3], 1 - shapes.target[..., 1]
    there = expected[..., 0] >= 0
    torch.testing.assert_close(target[there], expected[there])
    assert "hidden in part" in unsuitable_reason(Augment(kind="mixup"), shapes.schema)


def test_objects_that_leave_the_image_are_left_out() -> None:
    target = torch.tensor([[[0, 0.0, 0.0, 0.2, 0.2], [1, 0.5, 0.5, 0.9, 0.9]]])

    def move(values: torch.Tensor, exact: bool) -> torch.Tensor:  # 9 of 20 pixels to the left
        return values[..., torch.arange(9, 29).clamp(max=19)]

    moved = target_of("boxes").moved(target, move, (1, 1, 20, 20))
    assert moved[0, 0].tolist() == [-1, 0, 0, 0, 0]
    assert moved[0, 1].tolist() == pytest.approx([1, 0.05, 0.5, 0.45, 0.9], abs=1e-5)
    assert target_of("boxes").moved(target, lambda values, exact: values, (1, 1, 20, 20))[0, 0].tolist() == (
        pytest.approx([0, 0, 0, 0.2, 0.2], abs=1e-5)
    )


def test_a_small_detector_learns_to_find_and_name_objects() -> None:
    layers: list[tuple[str, dict[str, Any]]] = []
    for filters, stride in ((16, 2), (32, 2), (32, 1), (32, 1)):
        settings = {"filters": filters, "kernel_size": 3, "stride": stride}
        layers += [("Conv2d", settings), ("BatchNorm2d", {}), ("ReLU", {})]
    document = chain(
        ("Input", {"field": "image", "kind": "image", "shape": [1, 48, 48]}),
        *layers,
        ("Conv2d", {"filters": 8, "kernel_size": 1}),
        data=DataChoice(dataset="shape_boxes", options={"rows": 300}),
        training=Training(
            objective="detection", epochs=4, batch_size=10, learning_rate=0.01, schedule="one_cycle", device="cpu"
        ),
    )
    metrics = evaluate(fit_here(document)).metrics  # without training, all of these are 0
    assert metrics["map_50"] > 0.3
    assert metrics["f1"] > 0.3


def test_the_text_of_an_answer_counts_its_objects() -> None:
    answer = {"prediction": [{"class": name, "score": 0.9, "box": [0, 0, 1, 1]} for name in ("cat", "dog", "cat")]}
    assert task("detection").answer_text(answer) == "2 × cat, dog"
    assert task("detection").decisions({"prediction": []}) == ["no object"]
    assert isinstance(task("detection"), Detection)
    assert float(softplus(torch.zeros(()))) == pytest.approx(math.log(2))  # the half side of a new network, in cells
