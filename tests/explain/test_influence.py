"""Training example influence: against its definition, on flipped labels, and on every kind of network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from netloom.document import Training
from netloom.explain import ExplainError
from netloom.explain.influence.influence import Influence, influence
from netloom.explain.influence.label_errors import find_label_errors
from netloom.runs import TrainedRun, fit_here
from netloom.runs.history.snapshots import save_snapshot
from netloom.store import RunArtifacts
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from tests.explain.models import Layer, network, trained, words
from tests.explain.test_conformance import state


def tiny_run(**training: Any) -> TrainedRun:
    layers: list[Layer] = [("Linear", {"units": 4}), ("Tanh", {}), ("Linear", {"units": 2})]
    return fit_here(network("breast_cancer", *layers, **{"epochs": 1, "schedule": "cosine", **training}))


def write_snapshots(run: TrainedRun, folder: Path) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """Write three snapshots to a run's folder and return their (learning rate, weights)."""
    training, stages = run.project.training, []
    steps = -(-len(run.data.split["train"]) // training.batch_size)
    total = steps * training.epochs
    factors = [0.5 * (1 + np.cos(np.pi * step / total)) for step in range(total)]
    for epoch in (1, 2, 3):
        torch.manual_seed(epoch)
        weights = {name: value + 0.3 * torch.randn_like(value) for name, value in run.model.state_dict().items()}
        save_snapshot(RunArtifacts.in_directory(folder), epoch, epoch * steps, weights)
        rate = training.learning_rate * float(np.mean(factors[(epoch - 1) * steps : epoch * steps]))
        stages.append((rate, weights))
    return stages


def gradient(run: TrainedRun, weights: dict[str, torch.Tensor], row: int, label: int) -> torch.Tensor:
    """The gradient of one row's loss with respect to all weights, by plain autograd."""
    run.model.load_state_dict(weights)
    inputs = [run.data.inputs[name][row : row + 1] for name in run.fields]
    loss = torch.nn.functional.cross_entropy(run.model(*inputs), torch.tensor([label]))
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(run.model.parameters()))]).double()


@pytest.mark.parametrize("against", ["answer", "truth"])
def test_influence_matches_tracin_definition_over_checkpoints(against: Any, tmp_path: Path) -> None:
    run = tiny_run(epochs=3)
    stages = write_snapshots(run, tmp_path)
    final_weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    answers = run.output_of("test").argmax(1)
    wrong = (answers != run.data.target[run.data.split["test"]]).nonzero()
    row = int(run.data.split["test"][wrong[0]])
    result = influence(run, row, against=against, folder=tmp_path, checkpoint="last")
    self_influence = find_label_errors(run, folder=tmp_path, checkpoint="last")
    label = int(run.data.target[row]) if against == "truth" else 1 - int(run.data.target[row])
    expected, squares = np.zeros(40), np.zeros(40)
    for rate, weights in stages:
        towards = gradient(run, weights, row, label)
        for index, other in enumerate(result.rows[:40]):
            each = gradient(run, weights, int(other), int(run.data.target[other]))
            expected[index] += rate * float(each @ towards)
            squares[index] += rate * float(each @ each)
    run.model.load_state_dict(final_weights)
    assert [stage.epoch for stage in result.stages] == [1, 2, 3]
    assert np.allclose([stage.learning_rate for stage in result.stages], [rate for rate, _ in stages])
    assert np.abs(result.influences[:40] - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    by_row = dict(zip(self_influence.rows.tolist(), self_influence.self_influence.tolist(), strict=True))
    actual = np.array([by_row[int(other)] for other in result.rows[:40]])
    assert np.abs(actual - squares).max() < 1e-5 * max(1.0, squares.max())
    best = result.rows[np.argsort(-result.influences)[:10]]
    assert [example.row for example in result.proponents] == best.tolist()
    assert result.opponents[0].influence == pytest.approx(result.influences.min())


class Keeping(Callback):
    """Saves a snapshot after each epoch, as a worker does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_end(self, loop: Any) -> None:
        save_snapshot(RunArtifacts.in_directory(self.folder), loop.epoch, loop.step, dict(loop.model.state_dict()))


def test_flipped_labels_rank_first(tmp_path: Path) -> None:
    run = tiny_run()
    train, random = run.data.split["train"], np.random.default_rng(0)
    flipped = train[random.choice(len(train), len(train) // 10, replace=False)]
    target = run.data.target.clone()
    target[flipped] = 1 - target[flipped]
    data = replace(run.data, target=target)
    project = run.project.model_copy(update={"training": Training(epochs=6, learning_rate=0.01)})
    loop = build_trainer(project, run.source, data)
    loop.fit(Keeping(tmp_path))
    noisy_run = TrainedRun(project, run.source, loop.model.cpu().eval(), data)
    ranking = find_label_errors(noisy_run, folder=tmp_path, checkpoint="last")
    is_flipped = np.isin(ranking.rows, flipped.numpy())
    assert len(ranking.stages) == 6
    assert roc_auc_score(is_flipped, ranking.self_influence) >= 0.9  # 0.98 measured
    assert is_flipped[: len(flipped)].mean() >= 0.6  # 0.82 measured; chance: 0.1
    assert len(ranking.labels) == len(ranking.rows) == len(train)
    assert {example.label for example in ranking.top_rows} <= set(run.data.schema.target.classes)


BODIES: dict[str, list[Layer]] = {
    "attention": [("PositionalEmbedding", {}), ("TransformerEncoderBlock", {"heads": 2, "hidden": 16}), ("Mean", {})],
    "recurrent": [("LSTM", {"hidden_size": 8}), ("Max", {})],
}


@pytest.mark.parametrize("name", ["table", "regression", "attention", "recurrent"])
def test_influence_supports_every_network_and_restores_it(name: str, tmp_path: Path) -> None:
    run = fit_here(words(*BODIES[name], epochs=1)) if name in BODIES else trained(name)
    data = replace(run.data, split={**run.data.split, "train": run.data.split["train"][:120]})
    run = replace(run, data=data)
    before, row = state(run), int(data.split["test"][0])
    shares: list[float] = []
    result = influence(run, row, folder=tmp_path, progress=shares.append)
    again = influence(run, row, folder=tmp_path, progress=shares.clear)
    ranked = find_label_errors(run)
    assert state(run) == before
    assert shares[-1] == 1.0, "progress reached 100%, and the second call used the cache"
    assert again.as_json() == result.as_json()
    assert isinstance(again, Influence)
    assert np.isfinite(result.influences).all()
    assert (result.influences[:-1] != result.influences[1:]).any()
    assert (ranked.self_influence > 0).any()
    assert (np.diff(ranked.self_influence) <= 0).all()
    assert [example.influence for example in result.proponents] == sorted(
        (value for value in result.influences if value > 0), reverse=True
    )[:10]
    assert result.validation is not None
    assert result.validation.gain > 0 > -result.validation.harm
    assert result.level in ("good", "caution")


class EndedError(Exception):
    """The user cancelled the explanation."""


def test_cancelled_influence_caches_nothing(tmp_path: Path) -> None:
    run = trained("table")
    before = state(run)

    def cancel(share: float) -> None:
        raise EndedError

    with pytest.raises(EndedError):
        influence(run, 3, folder=tmp_path, progress=cancel)
    with pytest.raises(EndedError):
        find_label_errors(run, folder=tmp_path, progress=cancel)
    assert state(run) == before
    assert not list(tmp_path.rglob("*.npz"))


def test_influence_without_a_per_row_loss_is_refused() -> None:
    run = trained("regression")
    with pytest.raises(ExplainError, match="defined for classes only"):
        influence(run, 3, against="answer")
    with pytest.raises(ExplainError, match="There is no example"):
        influence(run, 10**9)
    with pytest.raises(ExplainError, match="custom input has no label"):
        influence(run, run.data.row(3))
    project = run.project.model_copy(update={"training": Training(objective="contrastive")})
    contrastive = replace(run, project=project)
    with pytest.raises(ExplainError, match="whole batch"):
        influence(contrastive, 3)


def test_custom_example_matches_the_equal_dataset_row() -> None:
    run = trained("table")
    row = int(run.data.split["test"][0])
    custom_result, dataset_result = influence(run, run.data.row(row)), influence(run, row, against="answer")
    assert custom_result.row == -1
    assert np.allclose(custom_result.influences, dataset_result.influences, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("dataset", "objective"), [("scenes", "multi_label"), ("shape_masks", "segmentation")])
def test_multi_labels_and_masks_are_described_by_class_names(dataset: str, objective: str) -> None:
    body: list[Layer] = [("Flatten", {}), ("Linear", {"units": 4})] if dataset == "scenes" else [
        ("Conv2d", {"filters": 5})]  # fmt: skip
    run = fit_here(network(dataset, *body, options={"rows": 120}, epochs=1, objective=objective))
    result = influence(run, int(run.data.split["test"][0]))
    classes = set(run.data.schema.target.classes)
    for example in (*result.proponents, *result.opponents):
        names = {part.rpartition(" ")[0] if "%" in part else part for part in example.prediction.split(", ")}
        assert names <= classes | {"none"}, example.prediction
