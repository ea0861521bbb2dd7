"""Knowledge distillation of detectors: the loss against a closed form, the choice of a teacher, and a student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

import netloom
from netloom.compression.methods.distillation import Distillation
from netloom.data.preparation.box_decoding import RARITY, cell_boxes
from netloom.document import Project, updated
from netloom.document.augmentation_settings import Augment
from netloom.runs import TrainedRun, distillation, evaluate, fit_here
from netloom.store import Store, open_store
from netloom.tasks.detector_distillation import DetectorDistillation
from netloom.templates import templates
from netloom.training import OBJECTIVES, StartError
from netloom.training.objectives.detection_loss import (
    BOX_WEIGHT,
    TEACHER_WEIGHT,
    generalized_iou,
    row_losses,
    taught_losses,
)
from netloom.validation import analyze
from tests.networks import with_rows
from tests.runs.examples import supervised

SHARE = 0.6


def shapes(**training: object) -> Project:
    project = with_rows(templates()["shapes_detector"].project, 300)
    changes = {"epochs": 6, "seed": 1, "device": "cpu", **training}
    return project.model_copy(update={"training": updated(project.training, changes)})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("teachers"))


@pytest.fixture(scope="module")
def teacher(store: Store) -> TrainedRun:
    return netloom.train(shapes(), save=True, home=store.home)


def name_of(run: TrainedRun) -> str:
    assert run.run is not None
    return f"run:{run.run.id}"


def student(teacher: str, share: float = SHARE) -> Project:
    return shapes(objective="detector_distillation", teacher=teacher, distillation_weight=share)


def outputs(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3 + 4, 4, 5, generator=torch.Generator().manual_seed(0))


TARGET = torch.tensor([[[0, 0.1, 0.1, 0.5, 0.6], [2, 0.5, 0.2, 0.9, 0.8]], [[1, 0.2, 0.2, 0.4, 0.4], [-1] * 5],
                       [[-1] * 5] * 2])  # fmt: skip


def test_the_loss_of_a_teacher_matches_its_formula() -> None:
    output, taught = outputs(), outputs(6)[3:]
    p, y = (expit(values[:, :3].double().numpy() - RARITY) for values in (output, taught))
    focal = np.abs(y - p) ** 2 * -(y * np.log(p) + (1 - y) * np.log(1 - p))
    weight = y.reshape(3, 3, -1).max(1) ** 2
    overlaps = generalized_iou(cell_boxes(output), cell_boxes(taught)).double().numpy()
    scores = TEACHER_WEIGHT * focal.reshape(3, -1).sum(1) / [2, 1, 1]
    expected = scores + BOX_WEIGHT * (weight * (1 - overlaps)).sum(1) / weight.sum(1)
    assert taught_losses(output, taught, TARGET).tolist() == pytest.approx(expected.tolist(), rel=1e-4)


def test_an_equal_student_has_no_loss_and_no_gradient() -> None:
    output = outputs().requires_grad_(True)
    losses = taught_losses(output, output.detach().clone(), TARGET)
    (gradient,) = torch.autograd.grad(losses.sum(), output)
    assert losses.tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert float(gradient.abs().max()) < 1e-5


def test_objects_and_teacher_are_weighted() -> None:
    objective = OBJECTIVES["detector_distillation"]
    output, taught = outputs(), outputs(6)[3:]
    assert objective.loss(output, TARGET) == pytest.approx(float(row_losses(output, TARGET).mean()))
    both = torch.cat([TARGET.flatten(1), taught.flatten(1)], dim=1)
    hard, soft = row_losses(output, TARGET), taught_losses(output, taught, TARGET)
    assert float(objective.loss(output, both)) == pytest.approx(float((0.7 * soft + 0.3 * hard).mean()), rel=1e-5)


def test_a_batch_has_the_outputs_of_the_teacher_for_the_augmented_images(store: Store, teacher: TrainedRun) -> None:
    project = student(name_of(teacher))
    flipped = (Augment(kind="horizontal_flip", params={"chance": 1.0}),)
    project = project.model_copy(update={"training": project.training.model_copy(update={"augment": flipped})})
    trainer = supervised(project, store.home)
    distillation.attach_teacher(trainer, distillation.find_teacher(store, project))
    inputs, target = [value[:4] for value in trainer.loader.train[0]], trainer.loader.train[1][:4]
    images, targets = trainer.loader.augment(inputs, target, 0, 0)
    assert isinstance(targets, torch.Tensor)
    with torch.no_grad():
        expected = teacher.model(*images)
    size = expected[0].numel()
    assert torch.equal(images[0], inputs[0].flip(3))
    boxes, is_object = targets[:, :-size].reshape(target.shape), target[..., 0] >= 0
    assert torch.allclose(boxes[is_object][:, [1, 3]], 1 - target[is_object][:, [3, 1]])
    assert torch.allclose(targets[:, -size:].reshape(expected.shape), expected, atol=1e-5)
    assert targets.shape[1] == target[0].numel() + size


def test_a_student_learns_from_the_teacher_alone(store: Store, teacher: TrainedRun) -> None:
    """With all of the weight on the teacher, only the number of the true objects of an image has an effect."""
    trained = fit_here(student(name_of(teacher), 1.0), store.home)
    scores = evaluate(teacher).metrics["map_50"], evaluate(trained).metrics["map_50"]
    assert scores[0] > 0.6
    assert scores[1] > 0.5 * scores[0]
    with pytest.raises(StartError, match="does not exist any more"):
        distillation.find_teacher(store, student("run:" + "1" * 8 + "-1111-1111-1111-" + "1" * 12))


def test_a_teacher_with_another_grid_is_refused(store: Store, teacher: TrainedRun) -> None:
    project = student(name_of(teacher))
    network = project.main_network
    pool = next(key for key, node in network.nodes.items() if node.type == "MaxPool2d")
    nodes = {**network.nodes, pool: network.nodes[pool].model_copy(update={"params": {"kernel_size": 4}})}
    networks = {**project.networks, "main": network.model_copy(update={"nodes": nodes})}
    other = project.model_copy(update={"networks": networks})
    assert not analyze(other, teacher.data.schema).network_errors
    with pytest.raises(StartError, match=r"teacher have the shape \(N, 8, \d+, \d+\), but those of this network"):
        distillation.find_teacher(store, other)


def test_a_teacher_has_to_be_a_detector(store: Store, teacher: TrainedRun) -> None:
    digits = templates()["digits_mlp"].project
    digits = digits.model_copy(update={"training": updated(digits.training, {"epochs": 1, "device": "cpu"})})
    classifier = netloom.train(digits, save=True, home=store.home)
    with pytest.raises(StartError, match=r"must give the grid of a detector, .* chosen run is classification"):
        distillation.find_teacher(store, student(name_of(classifier)))
    training = updated(digits.training, {"objective": "distillation", "teacher": name_of(teacher)})
    with pytest.raises(StartError, match=r"must give logits for classes, .* chosen run is detection"):
        distillation.find_teacher(store, digits.model_copy(update={"training": training}))


def test_a_narrower_detector_learns_from_the_original(store: Store, teacher: TrainedRun) -> None:
    method = Distillation(0.5)
    smaller = method.smaller(teacher)
    training = updated(smaller.project.training, method.training(teacher, epochs=1))
    project = smaller.project.model_copy(update={"training": training})
    assert training.objective == DetectorDistillation.name
    assert distillation.find_teacher(store, project) is not None
    trained = fit_here(project, store.home)
    counts = [sum(value.numel() for value in run.model.state_dict().values()) for run in (trained, teacher)]
    assert counts[0] < 0.5 * counts[1]


def test_a_student_without_a_teacher_is_told_what_to_choose(home: Path) -> None:
    project = shapes(objective="detector_distillation")
    issues = analyze(project, netloom.data.prepare(project.data, home).schema).issues
    [issue] = [issue for issue in issues if issue.code == "teacher"]
    assert "change the objective to object detection" in issue.message
    assert issue.fix is not None
    assert issue.fix.title == "Change the objective to object detection"
