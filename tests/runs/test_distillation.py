"""Knowledge distillation: the loss of Hinton et al., and a teacher that is frozen into the run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from netloom.compile import module, source
from netloom.document import DataChoice, Project, Training, write
from netloom.document.augmentation_settings import Augment
from netloom.runs import distillation
from netloom.store import RunArtifacts, Store, open_store
from netloom.training import OBJECTIVES, StartError
from netloom.training.loop import SupervisedTrainer
from netloom.training.targets import MixedTargets, WeightedTargets
from netloom.training.weights import checkpoints
from tests.networks import digits_mlp
from tests.runs.examples import Recorder, loop, supervised

TEMPERATURE, SHARE = 3.0, 0.6


def student(teacher: str = "", **training: object) -> Project:
    return digits_mlp(
        objective="distillation",
        teacher=teacher,
        temperature=TEMPERATURE,
        distillation_weight=SHARE,
        epochs=2,
        device="cpu",
        **training,
    )


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


@pytest.fixture
def teacher(store: Store) -> str:
    """A run with weights, as a trained run has them."""
    project = digits_mlp(device="cpu")
    project_id = store.create_project(project)
    run_id = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    folder = store.artifacts(run_id).local_directory()
    folder.mkdir(parents=True)
    write(folder / "project.json", project)
    (folder / "model.py").write_text(source(project))
    torch.manual_seed(5)
    weights = module(source(project)).state_dict()
    checkpoints.save_best(RunArtifacts.in_directory(folder), weights, {})
    store.create_run(project_id, project, "Teacher", run_id=run_id)
    return f"run:{run_id}"


def student_trainer(store: Store, project: Project, home: Path) -> SupervisedTrainer:
    trainer = supervised(project, home)
    distillation.attach_teacher(trainer, distillation.find_teacher(store, project))
    return trainer


def test_loss_matches_hintons_formula(store: Store, teacher: str, home: Path) -> None:
    trainer = student_trainer(store, student(teacher), home)
    objective = trainer.objective
    logits, teacher_logits = torch.randn(9, 10), torch.randn(9, 10)
    labels = torch.randint(0, 10, (9,))
    loss = objective.loss(logits, torch.cat([labels.unsqueeze(1).float(), teacher_logits], dim=1))
    teacher_probabilities, log_probabilities = (
        (teacher_logits / TEMPERATURE).softmax(1),
        (logits / TEMPERATURE).log_softmax(1),
    )
    kl = (teacher_probabilities * (teacher_probabilities.log() - log_probabilities)).sum(1).mean()
    expected = SHARE * TEMPERATURE**2 * kl + (1 - SHARE) * functional.cross_entropy(logits, labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_teacher_logits_match_its_network_and_stay_fixed(store: Store, teacher: str, home: Path) -> None:
    trainer = student_trainer(store, student(teacher), home)
    inputs, target = [value[:7] for value in trainer.loader.train[0]], trainer.loader.train[1][:7]
    _, targets = trainer.loader.augment(inputs, target, 0, 0)
    torch.manual_seed(5)
    expected = module(source(digits_mlp())).eval()(*inputs)
    assert isinstance(targets, torch.Tensor)
    assert targets[:, 0].tolist() == target.tolist()
    assert torch.equal(targets[:, 1:], expected)
    attached = trainer.objective.teacher  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in attached.model.state_dict().items()}
    trainer.fit(Recorder())
    after = attached.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_distillation_supports_weighted_and_mixed_targets(store: Store, teacher: str, home: Path) -> None:
    trainer = student_trainer(store, student(teacher, augment=(Augment(kind="mixup"),)), home)
    inputs, target = [value[:6] for value in trainer.loader.train[0]], trainer.loader.train[1][:6]
    _, targets = trainer.loader.augment(inputs, WeightedTargets(target, torch.ones(6)), 0, 0)
    assert isinstance(targets, WeightedTargets)
    assert isinstance(targets.target, MixedTargets)
    assert torch.equal(targets.target.first[:, 1:], targets.target.second[:, 1:])
    assert targets.target.first[:, 0].tolist() == target.tolist()
    trainer.fit(Recorder())


def test_frozen_teacher_survives_run_deletion_and_resume(
    store: Store, teacher: str, home: Path, tmp_path: Path
) -> None:
    project = student(teacher)
    files = distillation.find_teacher(store, project)
    assert files is not None
    distillation.freeze_teacher(files, RunArtifacts.in_directory(tmp_path))
    shutil.rmtree(store.artifacts(teacher.removeprefix("run:")).local_directory())
    frozen = distillation.frozen_teacher(RunArtifacts.in_directory(tmp_path))
    assert frozen is not None
    assert frozen.fields == ("image",)
    uninterrupted = distillation.attach_teacher(loop(project, home), frozen)
    uninterrupted.fit(Recorder())
    first = distillation.attach_teacher(loop(project, home), frozen)
    first.fit(Recorder(stop_at=7))
    checkpoint = first.checkpoint()
    second = distillation.attach_teacher(loop(project, home), frozen)
    second.resume(checkpoint, first.best.weights)
    second.fit(Recorder())
    assert all(
        torch.equal(value, second.model.state_dict()[key]) for key, value in uninterrupted.model.state_dict().items()
    )
    plain = loop(project, home)  # without the teacher, the weights differ
    plain.fit(Recorder())
    assert any(
        not torch.equal(value, plain.model.state_dict()[key]) for key, value in uninterrupted.model.state_dict().items()
    )
    with pytest.raises(StartError, match="does not exist any more"):
        distillation.find_teacher(store, project)


def test_teacher_with_another_split_is_refused(store: Store, teacher: str) -> None:
    project = student(teacher)
    other = project.model_copy(update={"data": DataChoice(dataset="digits", seed=3)})
    with pytest.raises(StartError, match="may have seen this run's test rows"):
        distillation.find_teacher(store, other)


def test_only_distillation_loads_a_teacher(store: Store) -> None:
    assert (
        distillation.find_teacher(store, digits_mlp(teacher="run:" + "1" * 8 + "-1111-1111-1111-" + "1" * 12)) is None
    )
    with pytest.raises(ValueError, match="written run:ID"):
        Training(teacher="weights:abc")
    assert "teacher" in OBJECTIVES["distillation"].task.settings
