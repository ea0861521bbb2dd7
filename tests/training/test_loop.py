"""The training loop in this process: minimization, resuming, and failing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.document import DataChoice, Project, Training
from netloom.runs import fit_here
from netloom.store import RunArtifacts
from netloom.templates import templates
from netloom.training import TrainingError
from netloom.training.batches import batch_bounds
from netloom.training.loop import SupervisedTrainer
from netloom.training.optimization.schedules import factor
from netloom.training.speed.device import choose, threads
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights.checkpoints import Checkpoint, load, save, save_best, weights
from tests.networks import chain
from tests.runs.examples import Recorder, loop, moons


def same(first: Any, second: Any) -> bool:
    """Whether two nested structures of dictionaries, lists and tensors are exactly equal."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(same(one, two) for one, two in zip(first, second, strict=True))
    return bool(first == second)


def test_language_model_loss_falls(home: Path) -> None:
    """For other tasks, see `tests.training.test_figures`."""
    project = templates()["tales"].project
    document = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})})
    trainer = loop(document, home)
    before = trainer.evaluate("validation")["loss"]
    trainer.total_steps = 40
    trainer.fit(Recorder(stop_at=40))
    assert trainer.evaluate("validation")["loss"] < 0.9 * before


def test_schedule_reaches_the_optimizer(home: Path) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def should_continue(self, loop: Trainer) -> bool:
            self.seen.append(loop.optimizer.param_groups[0]["lr"])
            return True

    trainer, rates = loop(moons(schedule="cosine", epochs=2, learning_rate=0.5), home), Rates()
    trainer.fit(rates)
    expected = [0.5 * factor("cosine", step, trainer.total_steps) for step in range(trainer.total_steps)]
    assert rates.seen == pytest.approx(expected[: len(rates.seen)])


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64, 65, 128, 129, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 64, 1000])
def test_batches_hold_every_row_once(rows: int, size: int) -> None:
    bounds = batch_bounds(rows, size)
    assert [row for start, end in bounds for row in range(start, end)] == list(range(rows))
    if size > 1 and rows > 1:
        assert all(2 <= end - start <= size + 1 for start, end in bounds)


def test_each_epoch_shuffles_all_rows(home: Path) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.seen = nn.Linear(2, 2), [torch.zeros(0, 2)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.seen.append(x.detach())
            out: torch.Tensor = self.linear(x)
            return out

    template = loop(moons(epochs=2, batch_size=50), home)
    model = Rows()
    trainer = SupervisedTrainer(model, template.objective, template.data, template.fields, template.training, "cpu")
    trainer.fit(Callback())
    seen = torch.cat(model.seen)
    rows = template.data.inputs["features"][template.data.split["train"]]
    first, second = seen[: len(rows)], seen[len(rows) :]
    assert not torch.equal(first, second)
    for epoch in (first, second):
        assert sorted(epoch.tolist()) == sorted(rows.tolist())
        torch.testing.assert_close(epoch.sum(0), rows.sum(0), rtol=1e-3, atol=1e-3)


def documents() -> dict[str, Project]:
    return {
        "adam and dropout": moons(),
        "sgd and cosine": moons(optimizer="sgd", schedule="cosine"),
        "clipped": moons(optimizer="rmsprop", gradient_clip=0.5),
        "one step an epoch": moons(batch_size=65_536, epochs=12),
    }


@pytest.mark.parametrize("name", documents())
@pytest.mark.parametrize("stop_at", [1, 7, 11, 12])
def test_resumed_run_equals_uninterrupted_run(name: str, stop_at: int, home: Path, tmp_path: Path) -> None:
    """Weights, buffers, optimizer, random numbers, best epoch and curves, wherever the run is interrupted."""
    document = documents()[name]
    whole, recorder = loop(document, home), Recorder()
    assert whole.fit(recorder)

    broken, first = loop(document, home), Recorder(stop_at)
    stopped = not broken.fit(first)
    assert stopped or name == "one step an epoch"
    step = broken.step
    save(RunArtifacts.in_directory(tmp_path), step, broken.checkpoint())
    if broken.best.weights:
        save_best(RunArtifacts.in_directory(tmp_path), broken.best.weights, {})
    torch.manual_seed(99)  # as in another process
    torch.rand(7)

    loaded = load(RunArtifacts.in_directory(tmp_path))
    assert loaded is not None
    resumed, second = loop(document, home), Recorder()
    best = weights(RunArtifacts.in_directory(tmp_path)) if (tmp_path / "best.safetensors").exists() else None
    resumed.resume(loaded[1], best)
    assert resumed.fit(second)
    assert same(dict(whole.model.state_dict()), dict(resumed.model.state_dict()))
    assert same(whole.checkpoint().state, resumed.checkpoint().state)
    assert same(whole.best.weights, resumed.best.weights)
    for split in ("train", "validation"):
        assert recorder.curve(split, "loss") == first.curve(split, "loss") + second.curve(split, "loss")
    keys = [point[:4] for point in first.points + second.points if point[3] != "batch_loss"]
    assert len(keys) == len(set(keys))


def test_checkpoints_load_with_weights_only(home: Path, tmp_path: Path) -> None:
    trainer = loop(moons(), home)
    trainer.fit(Recorder(stop_at=5))
    for step in (5, 6, 7):
        save(RunArtifacts.in_directory(tmp_path), step, trainer.checkpoint())
    steps_on_disk = sorted(entry.name for entry in (tmp_path / "checkpoints").iterdir())
    assert steps_on_disk == ["6", "7"]
    state = torch.load(tmp_path / "checkpoints" / "7" / "state.pt", weights_only=True)
    assert state["step"] == 5
    loaded = load(RunArtifacts.in_directory(tmp_path))
    assert loaded is not None
    assert loaded[0] == 7
    assert same(loaded[1].weights, dict(trainer.model.state_dict()))


def test_incomplete_checkpoint_is_ignored(home: Path, tmp_path: Path) -> None:
    trainer = loop(moons(), home)
    save(RunArtifacts.in_directory(tmp_path), 1, trainer.checkpoint())
    half = tmp_path / "checkpoints" / ".abc"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    loaded = load(RunArtifacts.in_directory(tmp_path))
    assert loaded is not None
    assert loaded[0] == 1
    save(RunArtifacts.in_directory(tmp_path), 2, trainer.checkpoint())


def test_loading_without_checkpoint(tmp_path: Path) -> None:
    assert load(RunArtifacts.in_directory(tmp_path)) is None
    with pytest.raises(FileNotFoundError, match="no checkpoint yet"):
        weights(RunArtifacts.in_directory(tmp_path))


def test_checkpoint_weights_are_tensors(home: Path) -> None:
    checkpoint: Checkpoint = loop(moons(), home).checkpoint()
    assert all(isinstance(value, torch.Tensor) for value in checkpoint.weights.values())


@pytest.mark.parametrize("rate", [10.0])
def test_nan_loss_raises_training_error(rate: float, home: Path) -> None:
    project = templates()["diabetes"].project
    training = project.training.model_copy(update={"learning_rate": rate, "optimizer": "sgd", "epochs": 60})
    trainer = loop(project.model_copy(update={"training": training}), home)
    with pytest.raises(TrainingError, match=r"^The loss became (nan|inf) by step \d+ .*Lower the learning rate"):
        trainer.fit(Callback())


def test_best_weights_have_the_lowest_validation_loss(home: Path) -> None:
    trainer, recorder = loop(moons(epochs=10, learning_rate=0.2), home), Recorder()
    trainer.fit(recorder)
    curve = recorder.curve("validation", "loss")
    assert trainer.best.value == min(curve)
    assert trainer.best.epoch == curve.index(min(curve))
    trainer.model.load_state_dict(trainer.best.weights)
    assert trainer.evaluate("validation")["loss"] == trainer.best.value


def test_early_stopping_waits_for_its_patience(home: Path) -> None:
    trainer, recorder = loop(moons(epochs=500, learning_rate=0.1, early_stopping=3), home), Recorder()
    assert trainer.fit(recorder)
    curve = recorder.curve("validation", "loss")
    assert len(curve) < 500
    assert len(curve) - 1 - curve.index(min(curve)) == 3


def test_gradient_norm_is_clipped(home: Path) -> None:
    class Norms(Callback):
        def __init__(self) -> None:
            self.largest = 0.0

        def should_continue(self, loop: Trainer) -> bool:
            grads = [weight.grad.norm() for weight in loop.model.parameters() if weight.grad is not None]
            self.largest = max(self.largest, float(torch.stack(grads).norm()))
            return True

    free, clipped = Norms(), Norms()
    loop(moons(epochs=1), home).fit(free)
    loop(moons(epochs=1, gradient_clip=0.05), home).fit(clipped)
    assert clipped.largest <= 0.0501 < free.largest


def test_frozen_layers_do_not_change(home: Path) -> None:
    document = moons()
    nodes = dict(document.main_network.nodes)
    nodes["linear_1"] = nodes["linear_1"].model_copy(update={"frozen": True})
    document = document.with_network("main", document.main_network.model_copy(update={"nodes": nodes}))
    trainer = loop(document, home)
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.fit(Callback())
    after = trainer.model.state_dict()
    assert torch.equal(before["linear_1.weight"], after["linear_1.weight"])
    assert not torch.equal(before["linear_2.weight"], after["linear_2.weight"])


def test_equal_seeds_give_equal_runs(home: Path) -> None:
    first, second, other = fit_here(moons(), home), fit_here(moons(), home), fit_here(moons(seed=1), home)
    assert same(dict(first.model.state_dict()), dict(second.model.state_dict()))
    assert not same(dict(first.model.state_dict()), dict(other.model.state_dict()))
    assert not first.model.training


def test_evaluation_does_not_change_the_training_state(home: Path) -> None:
    trainer = loop(moons(), home)
    trainer.model.train()
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    rng_state = torch.get_rng_state()
    trainer.evaluate("train")
    assert trainer.model.training
    assert same(before, dict(trainer.model.state_dict()))
    assert torch.equal(rng_state, torch.get_rng_state())


def test_missing_gpu_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        assert choose("auto") == choose("cuda") == "cuda"
    else:
        assert choose("auto") == "cpu"
        with pytest.raises(ValueError, match="no GPU"):
            choose("cuda")
    assert choose("cpu") == "cpu"


def test_thread_count_shrinks_with_worker_count() -> None:
    assert threads() >= threads(2) >= threads(1000) == 1


def test_zero_weight_language_model_has_uniform_entropy(home: Path) -> None:
    document = chain(
        ("Input", {"field": "text", "kind": "tokens", "shape": [64], "vocabulary": 56}),
        ("Embedding", {"vocabulary": 56, "dim": 8}),
        ("Linear", {"units": 56}),
        data=DataChoice(dataset="tales"),
        training=Training(objective="language_modeling", epochs=1, device="cpu"),
    )
    trainer = loop(document, home)
    for weight in trainer.model.parameters():
        nn.init.zeros_(weight)
    measures = trainer.evaluate("validation")
    assert measures["loss"] == pytest.approx(math.log(56), rel=1e-5)
    assert measures["perplexity"] == pytest.approx(56, rel=1e-4)
