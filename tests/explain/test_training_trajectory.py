"""Explanations of one example across a run's checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from netloom.document import dumps
from netloom.explain import ExplainError, explain
from netloom.explain.core.cache import FOLDER
from netloom.explain.dataset.training_trajectory import explain_trajectory
from netloom.runs import TrainedRun
from netloom.runs.history.snapshots import epoch_snapshots, save_snapshot
from netloom.runs.history.weight_history import saved_weights, weights_path
from netloom.runs.prediction.trained_run import with_weights
from netloom.store import RunArtifacts
from netloom.training.weights.checkpoints import Checkpoint, save, save_best
from netloom.training.weights.weight_files import CheckpointError
from tests.explain.models import trained

EPOCHS, STEPS = 4, 25


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as the training loop leaves it, with weights that grow towards the trained ones."""
    run = trained("table")
    (tmp_path / "project.json").write_text(dumps(run.project))
    for epoch in range(1, EPOCHS + 1):
        save_snapshot(RunArtifacts.in_directory(tmp_path), epoch, epoch * STEPS, scaled_weights(run, epoch / EPOCHS))
    save_best(RunArtifacts.in_directory(tmp_path), scaled_weights(run, 3 / EPOCHS), {"epoch": 3, "step": 3 * STEPS})
    save(RunArtifacts.in_directory(tmp_path), EPOCHS * STEPS, Checkpoint(scaled_weights(run, 1.0), {"epoch": EPOCHS}))
    return tmp_path


def scaled_weights(run: TrainedRun, share: float) -> dict[str, torch.Tensor]:
    return {name: value * share for name, value in run.model.state_dict().items()}


def test_saved_weights_are_listed_once_in_order(folder: Path) -> None:
    checkpoints = saved_weights(RunArtifacts.in_directory(folder))
    assert [(moment.name, moment.epoch, moment.step) for moment in checkpoints] == [
        ("1", 1, 25), ("2", 2, 50), ("3", 3, 75), ("4", 4, 100)
    ]  # fmt: skip
    assert [moment.label for moment in checkpoints] == ["Epoch 1", "Epoch 2", "Epoch 3 · best", "Epoch 4 · last"]
    for moment in checkpoints:
        assert weights_path(RunArtifacts.in_directory(folder), moment.name) == moment.path
    assert weights_path(RunArtifacts.in_directory(folder), "best").name == "best.safetensors"


def test_mid_epoch_checkpoint_is_listed_separately(folder: Path) -> None:
    save(RunArtifacts.in_directory(folder), 110, Checkpoint(scaled_weights(trained("table"), 1.1), {}))
    checkpoints = saved_weights(RunArtifacts.in_directory(folder))
    assert [moment.name for moment in checkpoints] == ["1", "2", "3", "4", "last"]
    assert checkpoints[-1].label == "Last · epoch 4"
    assert checkpoints[-1].step == 110


def test_initial_weights_are_listed_first(folder: Path) -> None:
    run = trained("table")
    save_snapshot(RunArtifacts.in_directory(folder), 0, 0, scaled_weights(run, 0.0))
    save_snapshot(RunArtifacts.in_directory(folder), EPOCHS + 1, (EPOCHS + 1) * STEPS, scaled_weights(run, 1.2))
    checkpoints = saved_weights(RunArtifacts.in_directory(folder))
    assert (checkpoints[0].name, checkpoints[0].label, checkpoints[0].epoch, checkpoints[0].step) == (
        "0",
        "Before training",
        0,
        0,
    )
    assert weights_path(RunArtifacts.in_directory(folder), "0") == checkpoints[0].path
    assert [snapshot.epoch for snapshot in epoch_snapshots(RunArtifacts.in_directory(folder))] == [1, 2, 3, 4, 5], (
        "only epoch snapshots can be resumed from"
    )
    frames = explain_trajectory(run, folder, "saliency", 3).frames
    assert frames[0].label == "Before training"
    assert frames[0].explanation.score == pytest.approx(0.0), "these weights are all zero"


def test_ema_weights_are_listed_separately(folder: Path) -> None:
    document = json.loads((folder / "project.json").read_text())
    document["training"]["ema_decay"] = 0.99
    (folder / "project.json").write_text(json.dumps(document))
    assert [moment.name for moment in saved_weights(RunArtifacts.in_directory(folder))] == [
        "1",
        "2",
        "3",
        "best",
        "4",
        "last",
    ]


def test_missing_weights_are_refused_with_a_message(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match="no weights named '7'; there are best, last, and those after epoch: 1, 2"
    ):
        weights_path(RunArtifacts.in_directory(folder), "7")
    with pytest.raises(CheckpointError, match="no weights named"):
        weights_path(RunArtifacts.in_directory(folder), "../best")
    assert saved_weights(RunArtifacts.in_directory(tmp_path / "nowhere")) == []
    with pytest.raises(FileNotFoundError):
        weights_path(RunArtifacts.in_directory(tmp_path / "nowhere"), "last")
    (folder / "best.safetensors").write_bytes(b"\xff" * 40)
    assert "best" not in " ".join(moment.label for moment in saved_weights(RunArtifacts.in_directory(folder)))


def test_each_frame_matches_an_explanation_with_its_weights(folder: Path) -> None:
    run = trained("table")
    shares: list[float] = []
    trajectory = explain_trajectory(run, folder, "integrated_gradients", 3, progress=shares.append)
    assert [frame.name for frame in trajectory.frames] == ["1", "2", "3", "4"]
    last = explain(run, "integrated_gradients", 3)
    assert trajectory.final.explanation.target == last.target
    for frame in trajectory.frames:
        other = with_weights(run, RunArtifacts.in_directory(folder), frame.name)
        expected = explain(other, "integrated_gradients", 3, target=last.target)
        assert frame.explanation.weights == expected.weights
        np.testing.assert_allclose(frame.explanation.attributions["features"], expected.attributions["features"])
        output = other.output({"features": run.data.inputs["features"][3:4]})
        assert frame.probability == pytest.approx(float(output.softmax(1)[0, last.target.index]))
        assert frame.explanation.score == pytest.approx(float(output[0, last.target.index]), rel=1e-5)
    assert trajectory.final.agreement.spearman == pytest.approx(1.0)
    assert trajectory.bounds["features"] == pytest.approx(
        max(float(np.abs(frame.explanation.attributions["features"]).max()) for frame in trajectory.frames)
    )
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert [row["step"] for row in trajectory.table()] == [25, 50, 75, 100]


def test_trajectory_frames_are_cached_by_weights(folder: Path) -> None:
    run = trained("table")
    first = explain_trajectory(run, folder, "occlusion", 3)
    files = {path: path.stat().st_mtime_ns for path in (folder / FOLDER).glob("*.npz")}
    assert len(files) == EPOCHS
    again = explain_trajectory(run, folder, "occlusion", 3)
    assert {path: path.stat().st_mtime_ns for path in (folder / FOLDER).glob("*.npz")} == files
    assert [frame.explanation.seconds for frame in again.frames] == [f.explanation.seconds for f in first.frames]
    explain_trajectory(run, folder, "occlusion", 4)
    assert len(list((folder / FOLDER).glob("*.npz"))) == 2 * EPOCHS
    save_file(scaled_weights(run, 2.0), folder / "kept" / f"1-{STEPS}.safetensors")
    explain_trajectory(run, folder, "occlusion", 3)
    assert len(list((folder / FOLDER).glob("*.npz"))) == 2 * EPOCHS + 1, "other weights have another cache key"


def test_trajectory_needs_two_checkpoints(folder: Path) -> None:
    with pytest.raises(ExplainError, match="This run has only one checkpoint"):
        explain_trajectory(
            trained("table"),
            folder,
            "saliency",
            3,
            saved_checkpoints=saved_weights(RunArtifacts.in_directory(folder))[:1],
        )


def test_trajectory_leaves_the_trained_network_unchanged(folder: Path) -> None:
    run = trained("table")
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    explain_trajectory(run, folder, "saliency", 3)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
