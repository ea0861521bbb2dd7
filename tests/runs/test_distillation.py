"""Knowledge distillation: the loss of the paper, and a teacher that is frozen into the run."""

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
from netloom.training import OBJECTIVES, StartError, checkpoints
from netloom.training.loop import SupervisedTrainer
from netloom.training.targets import MixedTargets, WeightedTargets
from tests.networks import digits_mlp
from tests.runs.examples import Recorder, loop, supervised

TEMPERATURE, SHARE = 3.0, 0.6


def student(teacher: str = "", **training: object) -> Project:
    return digits_mlp(
        objective="distillation",
        teacher=teacher,
        temperature=TEMPERATURE,
        teacher_share=SHARE,
        epochs=2,
        device="cpu",
        **training,
    )


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


@pytest.fixture
def teacher(store: Store) -> str:
    """A run with weights, as one that was trained has them."""
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


def taught(store: Store, project: Project, home: Path) -> SupervisedTrainer:
    made = supervised(project, home)
    distillation.attach_teacher(made, distillation.find_teacher(store, project))
    return made


def test_the_loss_is_hintons(store: Store, teacher: str, home: Path) -> None:
    made = taught(store, student(teacher), home)
    objective = made.objective
    logits, other = torch.randn(9, 10), torch.randn(9, 10)
    labels = torch.randint(0, 10, (9,))
    loss = objective.loss(logits, torch.cat([labels.unsqueeze(1).float(), other], dim=1))
    soft, said = (other / TEMPERATURE).softmax(1), (logits / TEMPERATURE).log_softmax(1)
    kl = (soft * (soft.log() - said)).sum(1).mean()
    expected = SHARE * TEMPERATURE**2 * kl + (1 - SHARE) * functional.cross_entropy(logits, labels)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_the_teacher_says_what_its_network_says_and_never_learns(store: Store, teacher: str, home: Path) -> None:
    made = taught(store, student(teacher), home)
    inputs, target = [value[:7] for value in made.loader.train[0]], made.loader.train[1][:7]
    _, goal = made.loader.augment(inputs, target, 0, 0)
    torch.manual_seed(5)
    expected = module(source(digits_mlp())).eval()(*inputs)
    assert isinstance(goal, torch.Tensor)
    assert goal[:, 0].tolist() == target.tolist()
    assert torch.equal(goal[:, 1:], expected)
    known = made.objective.teacher  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in known.model.state_dict().items()}
    made.fit(Recorder())
    after = known.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_weighted_and_mixed_rows_are_taught_too(store: Store, teacher: str, home: Path) -> None:
    made = taught(store, student(teacher, augment=(Augment(kind="mixup"),)), home)
    inputs, target = [value[:6] for value in made.loader.train[0]], made.loader.train[1][:6]
    _, goal = made.loader.augment(inputs, WeightedTargets(target, torch.ones(6)), 0, 0)
    assert isinstance(goal, WeightedTargets)
    assert isinstance(goal.target, MixedTargets)
    assert torch.equal(goal.target.first[:, 1:], goal.target.second[:, 1:])
    assert goal.target.first[:, 0].tolist() == target.tolist()
    made.fit(Recorder())


def test_a_frozen_teacher_outlives_its_run_and_a_resumed_run_ends_the_same(
    store: Store, teacher: str, home: Path, tmp_path: Path
) -> None:
    project = student(teacher)
    found = distillation.find_teacher(store, project)
    assert found is not None
    distillation.freeze_teacher(found, RunArtifacts.in_directory(tmp_path))
    shutil.rmtree(store.artifacts(teacher.removeprefix("run:")).local_directory())
    frozen = distillation.frozen_teacher(RunArtifacts.in_directory(tmp_path))
    assert frozen is not None
    assert frozen.fields == ("image",)
    whole = distillation.attach_teacher(loop(project, home), frozen)
    whole.fit(Recorder())
    first = distillation.attach_teacher(loop(project, home), frozen)
    first.fit(Recorder(stop_at=7))
    kept = first.checkpoint()
    second = distillation.attach_teacher(loop(project, home), frozen)
    second.resume(kept, first.best.weights)
    second.fit(Recorder())
    assert all(torch.equal(value, second.model.state_dict()[key]) for key, value in whole.model.state_dict().items())
    plain = loop(project, home)  # without what the teacher says, it learns something else
    plain.fit(Recorder())
    assert any(not torch.equal(value, plain.model.state_dict()[key]) for key, value in whole.model.state_dict().items())
    with pytest.raises(StartError, match="not there any more"):
        distillation.find_teacher(store, project)


def test_a_teacher_of_other_rows_is_refused(store: Store, teacher: str) -> None:
    project = student(teacher)
    other = project.model_copy(update={"data": DataChoice(dataset="digits", seed=3)})
    with pytest.raises(StartError, match="may have seen this run's test rows"):
        distillation.find_teacher(store, other)


def test_only_a_student_looks_for_a_teacher(store: Store) -> None:
    assert (
        distillation.find_teacher(store, digits_mlp(teacher="run:" + "1" * 8 + "-1111-1111-1111-" + "1" * 12)) is None
    )
    with pytest.raises(ValueError, match="written run:ID"):
        Training(teacher="weights:abc")
    assert "teacher" in OBJECTIVES["distillation"].task.settings
