"""What taught a network: against the definition, on labels that were flipped, and on networks of every kind."""

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
from netloom.explain.influence.influence import Influence, find_label_errors, influence
from netloom.runs import TrainedRun, fit_here
from netloom.runs.history.snapshots import save_snapshot
from netloom.store import RunArtifacts
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from tests.explain.models import Layer, network, trained, words
from tests.explain.test_conformance import state


def tiny(**training: Any) -> TrainedRun:
    layers: list[Layer] = [("Linear", {"units": 4}), ("Tanh", {}), ("Linear", {"units": 2})]
    return fit_here(network("breast_cancer", *layers, **{"epochs": 1, "schedule": "cosine", **training}))


def walked(run: TrainedRun, folder: Path) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """Three stages of a way in a run's folder: (learning rate, weights)."""
    training, found = run.project.training, []
    steps = -(-len(run.data.split["train"]) // training.batch_size)
    total = steps * training.epochs
    factors = [0.5 * (1 + np.cos(np.pi * step / total)) for step in range(total)]
    for epoch in (1, 2, 3):
        torch.manual_seed(epoch)
        weights = {name: value + 0.3 * torch.randn_like(value) for name, value in run.model.state_dict().items()}
        save_snapshot(RunArtifacts.in_directory(folder), epoch, epoch * steps, weights)
        rate = training.learning_rate * float(np.mean(factors[(epoch - 1) * steps : epoch * steps]))
        found.append((rate, weights))
    return found


def gradient(run: TrainedRun, weights: dict[str, torch.Tensor], row: int, label: int) -> torch.Tensor:
    """The gradient of one row's loss by all weights, the slow and plain way."""
    run.model.load_state_dict(weights)
    inputs = [run.data.inputs[name][row : row + 1] for name in run.fields]
    loss = torch.nn.functional.cross_entropy(run.model(*inputs), torch.tensor([label]))
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(run.model.parameters()))]).double()


@pytest.mark.parametrize("against", ["answer", "truth"])
def test_it_is_the_sum_over_checkpoints_of_the_rate_times_both_gradients(against: Any, tmp_path: Path) -> None:
    run = tiny(epochs=3)
    way = walked(run, tmp_path)
    own = {name: value.clone() for name, value in run.model.state_dict().items()}
    answers = run.output_of("test").argmax(1)
    wrong = (answers != run.data.target[run.data.split["test"]]).nonzero()
    row = int(run.data.split["test"][wrong[0]])
    found = influence(run, row, against=against, folder=tmp_path, checkpoint="last")
    alone = find_label_errors(run, folder=tmp_path, checkpoint="last")
    label = int(run.data.target[row]) if against == "truth" else 1 - int(run.data.target[row])
    expected, squares = np.zeros(40), np.zeros(40)
    for rate, weights in way:
        towards = gradient(run, weights, row, label)
        for place, other in enumerate(found.rows[:40]):
            each = gradient(run, weights, int(other), int(run.data.target[other]))
            expected[place] += rate * float(each @ towards)
            squares[place] += rate * float(each @ each)
    run.model.load_state_dict(own)
    assert [stage.epoch for stage in found.stages] == [1, 2, 3]
    assert np.allclose([stage.learning_rate for stage in found.stages], [rate for rate, _ in way])
    assert np.abs(found.influences[:40] - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    by_row = dict(zip(alone.rows.tolist(), alone.self_influence.tolist(), strict=True))
    ours = np.array([by_row[int(other)] for other in found.rows[:40]])
    assert np.abs(ours - squares).max() < 1e-5 * max(1.0, squares.max())
    best = found.rows[np.argsort(-found.influences)[:10]]
    assert [lesson.row for lesson in found.lessons_for] == best.tolist()
    assert found.lessons_against[0].influence == pytest.approx(found.influences.min())


class Keeping(Callback):
    """Keeps the weights of each epoch, as a worker does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_end(self, loop: Any) -> None:
        save_snapshot(RunArtifacts.in_directory(self.folder), loop.epoch, loop.step, dict(loop.model.state_dict()))


def test_labels_that_were_flipped_stand_first(tmp_path: Path) -> None:
    run = tiny()
    train, random = run.data.split["train"], np.random.default_rng(0)
    flipped = train[random.choice(len(train), len(train) // 10, replace=False)]
    target = run.data.target.clone()
    target[flipped] = 1 - target[flipped]
    data = replace(run.data, target=target)
    project = run.project.model_copy(update={"training": Training(epochs=6, learning_rate=0.01)})
    loop = build_trainer(project, run.source, data)
    loop.fit(Keeping(tmp_path))
    spoiled = TrainedRun(project, run.source, loop.model.eval(), data)
    found = find_label_errors(spoiled, folder=tmp_path, checkpoint="last")
    bad = np.isin(found.rows, flipped.numpy())
    assert len(found.stages) == 6
    assert roc_auc_score(bad, found.self_influence) >= 0.9  # 0.98 measured
    assert bad[: len(flipped)].mean() >= 0.6  # 0.82 measured; chance: 0.1
    assert len(found.labels) == len(found.rows) == len(train)
    assert {lesson.label for lesson in found.first} <= set(run.data.schema.target.classes)


BODIES: dict[str, list[Layer]] = {
    "attention": [("PositionalEmbedding", {}), ("TransformerEncoderBlock", {"heads": 2, "hidden": 16}), ("Mean", {})],
    "recurrent": [("LSTM", {"hidden_size": 8}), ("Max", {})],
}


@pytest.mark.parametrize("name", ["table", "regression", "attention", "recurrent"])
def test_networks_of_every_kind_name_rows_and_stay_as_they_are(name: str, tmp_path: Path) -> None:
    run = fit_here(words(*BODIES[name], epochs=1)) if name in BODIES else trained(name)
    data = replace(run.data, split={**run.data.split, "train": run.data.split["train"][:120]})
    run = replace(run, data=data)
    before, row = state(run), int(data.split["test"][0])
    shares: list[float] = []
    found = influence(run, row, folder=tmp_path, progress=shares.append)
    again = influence(run, row, folder=tmp_path, progress=shares.clear)
    ranked = find_label_errors(run)
    assert state(run) == before
    assert shares[-1] == 1.0, "told to the end, and not a second time"
    assert again.as_json() == found.as_json()
    assert isinstance(again, Influence)
    assert np.isfinite(found.influences).all()
    assert (found.influences[:-1] != found.influences[1:]).any()
    assert (ranked.self_influence > 0).any()
    assert (np.diff(ranked.self_influence) <= 0).all()
    assert [lesson.influence for lesson in found.lessons_for] == sorted(
        (value for value in found.influences if value > 0), reverse=True
    )[:10]
    assert found.tried is not None
    assert found.tried.gain > 0 > -found.tried.harm
    assert found.level in ("good", "caution")


class EndedError(Exception):
    """Somebody chose something else."""


def test_it_can_be_ended_and_keeps_nothing_by_half(tmp_path: Path) -> None:
    run = trained("table")
    before = state(run)

    def end(share: float) -> None:
        raise EndedError

    with pytest.raises(EndedError):
        influence(run, 3, folder=tmp_path, progress=end)
    with pytest.raises(EndedError):
        find_label_errors(run, folder=tmp_path, progress=end)
    assert state(run) == before
    assert not list(tmp_path.rglob("*.npz"))


def test_what_has_no_loss_of_a_row_is_refused_in_words() -> None:
    run = trained("regression")
    with pytest.raises(ExplainError, match="defined for classes only"):
        influence(run, 3, against="answer")
    with pytest.raises(ExplainError, match="There is no example"):
        influence(run, 10**9)
    with pytest.raises(ExplainError, match="custom input has no label"):
        influence(run, run.data.row(3))
    project = run.project.model_copy(update={"training": Training(objective="contrastive")})
    together = replace(run, project=project)
    with pytest.raises(ExplainError, match="whole batch"):
        influence(together, 3)


def test_an_example_of_ones_own_is_like_the_row_that_it_repeats() -> None:
    run = trained("table")
    row = int(run.data.split["test"][0])
    own, known = influence(run, run.data.row(row)), influence(run, row, against="answer")
    assert own.row == -1
    assert np.allclose(own.influences, known.influences, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(("dataset", "objective"), [("scenes", "multi_label"), ("shape_masks", "segmentation")])
def test_labels_and_masks_are_said_in_words(dataset: str, objective: str) -> None:
    body: list[Layer] = [("Flatten", {}), ("Linear", {"units": 4})] if dataset == "scenes" else [
        ("Conv2d", {"filters": 5})]  # fmt: skip
    run = fit_here(network(dataset, *body, options={"rows": 120}, epochs=1, objective=objective))
    found = influence(run, int(run.data.split["test"][0]))
    classes = set(run.data.schema.target.classes)
    for lesson in (*found.lessons_for, *found.lessons_against):
        said = {part.rpartition(" ")[0] if "%" in part else part for part in lesson.says.split(", ")}
        assert said <= classes | {"none"}, lesson.says
