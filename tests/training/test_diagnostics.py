"""What is seen of a run while it trains: the layers' numbers by another way, samples, and that nothing disturbs it."""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.compile import module
from netloom.document import Project
from netloom.store import RunArtifacts
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.diagnostics import MEASURES, places, read_history, read_samples
from netloom.training.diagnostics.layer_statistics import LayerStatistics
from netloom.training.diagnostics.observer import Observer
from netloom.training.diagnostics.prediction_history import unpacked
from netloom.training.diagnostics.statistics_file import MOST, Writer
from netloom.training.throughput import Throughput
from netloom.training.trainer import Callback, Trainer
from tests.hooks import hooks_set, left
from tests.networks import chain, digits_mlp, network
from tests.runs.examples import loop, moons


class Watched(Callback):
    """A loop's watch that looks at every step, as a worker's does now and then."""

    def __init__(self, project: Project, made: Trainer, folder: Path, stop_at: int | None = None) -> None:
        self.observer = Observer(project, RunArtifacts.in_directory(folder), every_s=0.0)
        self.stop_at = stop_at
        self.observer.start(made, [])

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
        self.observer.on_step_start(trainer, inputs, targets)

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        self.observer.on_step_end(trainer, loss)

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        self.observer.log_metrics(step, epoch, split, values)

    def on_epoch_end(self, loop: Trainer) -> None:
        self.observer.on_epoch_end(loop)

    def should_continue(self, loop: Trainer) -> bool:
        return self.stop_at is None or loop.step < self.stop_at


def watched(project: Project, home: Path, folder: Path) -> tuple[Trainer, Watched]:
    """A run to its end with everything looked at."""
    made = loop(project, home)
    watch = Watched(project, made, folder)
    made.fit(watch)
    assert not (folder / "log.jsonl").exists(), (folder / "log.jsonl").read_text()
    return made, watch


def test_numbers_of_layers_are_those_found_by_hand(home: Path, tmp_path: Path) -> None:
    """Against a twin that is trained step by step without any hook."""
    document = moons(epochs=1, gradient_clip=0.01)
    watched(document, home, tmp_path)
    found = read_history(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    assert [place.name for place in found.places] == ["linear_1", "relu_1", "dropout_1", "batchnorm1d_1", "linear_2"]

    twin = loop(document, home)
    expected: list[dict[str, float]] = []

    class ByHand(Callback):
        def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
            layer: Any = twin.model.get_submodule("linear_1")
            self.before = torch.cat([weight.detach().flatten().clone() for weight in layer.parameters()])
            numbers = torch.get_rng_state()
            with torch.no_grad():
                self.given = inputs[0] @ layer.weight.T + layer.bias
            loss = twin.objective.loss(twin.model(*inputs), targets)
            gradients = torch.autograd.grad(loss, list(layer.parameters()))
            self.gradient = torch.cat([value.flatten() for value in gradients])
            torch.set_rng_state(numbers)

        def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
            layer: Any = twin.model.get_submodule("linear_1")
            after = torch.cat([weight.detach().flatten() for weight in layer.parameters()])
            rows = self.given.numpy()[:64]
            expected.append(
                {
                    "gradient": float(self.gradient.norm()),
                    "weight": float(after.norm()),
                    "update": float((after - self.before).norm() / self.before.norm()),
                    "mean": float(rows.mean()),
                    "std": float(rows.std()),
                    "relu zeros": float((rows <= 0).mean()),
                    "relu dead": float((rows <= 0).all(0).mean()),
                }
            )

    twin.fit(ByHand())
    assert found.steps.tolist() == list(range(1, len(expected) + 1))
    for measure in ("gradient", "weight", "update", "mean", "std"):
        assert found.of(measure)[:, 0] == pytest.approx([row[measure] for row in expected], rel=1e-3, abs=1e-6), measure
    for measure in ("zeros", "dead"):
        assert found.of(measure)[:, 1] == pytest.approx([row[f"relu {measure}"] for row in expected], abs=1e-3)
    assert np.isnan(found.of("gradient")[:, 1]).all()  # a ReLU has no weights
    assert np.isnan(found.of("dead")[:, 0]).all()  # a Linear layer's zeros are an accident


def test_looking_changes_nothing(home: Path, tmp_path: Path) -> None:
    """Weights, optimizer, random numbers and best epoch, with dropout: equal to the last bit."""
    document = moons(epochs=3)
    with hooks_set() as hooks:
        seen, _ = watched(document, home, tmp_path)
    assert hooks
    assert not left(hooks)
    alone = loop(document, home)
    alone.fit(Callback())
    for one, other in zip(seen.checkpoint().weights.values(), alone.checkpoint().weights.values(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(seen.checkpoint().state["rng"], alone.checkpoint().state["rng"])
    assert seen.best.value == alone.best.value


def test_layers_of_nested_networks_have_the_titles_of_their_nodes(home: Path) -> None:
    block = network({"input_1": ("Input", {}), "linear_1": ("Linear", {"units": 8}), "output_1": ("Output", {})})
    inner = block.nodes["linear_1"].model_copy(update={"title": "Mix"})
    block = block.model_copy(update={"nodes": {**block.nodes, "linear_1": inner}})
    document = chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [8]}),
        ("Subnetwork", {"network": "block", "repeat": 2}),
        ("Subnetwork", {"network": "block"}),
        ("Linear", {"units": 2}),
    ).with_network("block", block)
    model = module(document)
    found = places(document, model)
    assert [place.name for place in found] == [
        "subnetwork_1 1 › Mix",
        "subnetwork_1 2 › Mix",
        "subnetwork_2 › Mix",
        "linear_1",
    ]
    assert found[0].nodes == ("subnetwork_1", "linear_1")
    owned = {name for place in found for name, _ in model.get_submodule(place.path).named_parameters(place.path)}
    assert owned == set(dict(model.named_parameters()))


def test_a_resumed_run_has_no_double_record(home: Path, tmp_path: Path) -> None:
    document = moons(epochs=4)
    made = loop(document, home)
    watch = Watched(document, made, tmp_path, stop_at=9)
    made.fit(watch)
    kept = deepcopy(made.checkpoint())
    watch.stop_at = 31  # goes on, and is lost
    made.fit(watch)
    assert read_history(RunArtifacts.in_directory(tmp_path)).steps[-1] == 31  # type: ignore[union-attr]
    with (tmp_path / "layers.bin").open("ab") as file:
        file.write(b"cut off")

    again = loop(document, home)
    again.resume(kept)
    again.fit(Watched(document, again, tmp_path))
    whole_folder = tmp_path / "whole"
    whole_folder.mkdir()
    watched(document, home, whole_folder)
    found, whole = (
        read_history(RunArtifacts.in_directory(tmp_path)),
        read_history(RunArtifacts.in_directory(whole_folder)),
    )
    assert found is not None
    assert whole is not None
    assert found.steps.tolist() == whole.steps.tolist() == list(range(1, again.step + 1))
    assert np.array_equal(found.values, whole.values, equal_nan=True)
    first, second = (
        read_samples(RunArtifacts.in_directory(tmp_path)),
        read_samples(RunArtifacts.in_directory(whole_folder)),
    )
    assert first == second
    assert first is not None
    assert [line["epoch"] for line in first.epochs] == [1, 2, 3, 4]


def test_a_long_history_stays_small(tmp_path: Path) -> None:
    writer = Writer(RunArtifacts.in_directory(tmp_path), [], [], 0)
    for step in range(1, 2 * MOST + 2):
        if step % writer.every == 0:
            writer.append(step, 0.0, np.zeros((0, len(MEASURES)), np.float32))
    found = read_history(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    assert MOST / 2 <= len(found.steps) <= MOST
    assert found.steps[0] == 1
    assert (np.diff(found.steps) > 0).all()


def test_looking_is_as_rare_as_it_is_dear(home: Path) -> None:
    """Where a look takes a fifth of a second, no more follow until training took a hundred times as much."""
    made = loop(moons(), home)
    lens, seen = LayerStatistics(made.model, places(moons(), made.model), every_s=0.01), list[float]()

    def busy(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    end = time.process_time() + 1.0
    while time.process_time() < end:  # the first one has nothing to compare with, and the second is the dear one
        busy(0.002)
        lens.before_step()
        if lens.after_step(lambda: busy(0.2)) is not None:
            seen.append(0.0)
    assert len(seen) == 2


def test_samples_of_classes_are_what_the_network_says(home: Path, tmp_path: Path) -> None:
    document = digits_mlp(epochs=3, learning_rate=3e-3, device="cpu")
    made, _ = watched(document, home, tmp_path)
    found = read_samples(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    assert len(found.rows) == 8
    assert [line["epoch"] for line in found.epochs] == [1, 2, 3]
    rows = [row["row"] for row in found.rows]
    assert set(rows) <= set(made.data.split["validation"].tolist())
    with torch.no_grad():
        shares = made.model.eval()(made.data.inputs["image"][rows]).softmax(1)
    for place, (row, said) in enumerate(zip(found.rows, found.epochs[-1]["said"], strict=True)):
        assert said["text"] == made.data.schema.target.classes[int(shares[place].argmax())]
        assert said["share"] == pytest.approx(float(shares[place].max()), abs=1e-5)
        assert row["true"] == made.data.target_text(row["row"])
        picture = made.data.example(row["row"]).image
        assert unpacked(row["picture"])[:, :, 0] == pytest.approx(np.asarray(picture) * 255, abs=0.51)


# One template for each objective that answers to rows; what agents do is shown as episodes.
ONE_EACH = {one.project.training.objective: name for name, one in sorted(templates().items(), reverse=True)}
LEARN_FROM_ROWS = sorted(
    name for objective, name in ONE_EACH.items() if OBJECTIVES[objective].task.explainable_prediction
)


@pytest.mark.parametrize("name", LEARN_FROM_ROWS)
def test_every_objective_has_samples(name: str, home: Path, tmp_path: Path) -> None:
    """Whatever the objective: before any training, as after an epoch; in a form that the page can draw."""
    document = templates()[name].project
    made = loop(document, home)
    watch = Watched(document, made, tmp_path)
    watch.on_epoch_end(made)
    assert not (tmp_path / "log.jsonl").exists(), (tmp_path / "log.jsonl").read_text()
    found = read_samples(RunArtifacts.in_directory(tmp_path))
    assert found is not None
    (line,) = found.epochs
    assert len(line["said"]) == len(found.rows) > 0
    # Scores that only put rows in an order are not so much above or below the truth.
    assert not (made.objective.task.scores_items and any("values" in row for row in found.rows))
    for said in line["said"]:
        assert set(said) & {"text", "values", "picture", "classes", "series"}
        for kind in ("picture", "classes"):
            if kind in said:
                assert unpacked(said[kind]).size > 0
    assert len(json.dumps(line)) < 500_000


def test_the_remaining_time_is_a_range() -> None:
    pace = Throughput()
    assert pace.left(100) is None
    steps, now = 0, 0.0
    for beat in range(40):
        pace.update(steps, now)
        now += 1.0
        steps += 10 if beat % 10 < 5 else 20  # half of the time twice as fast
    low, high = pace.left(1000)  # type: ignore[misc]
    assert low == pytest.approx(50, rel=0.05)
    assert high == pytest.approx(100, rel=0.05)
    pace.pause()
    pace.update(steps, now + 3600)
    low, high = pace.left(1000)  # type: ignore[misc]
    assert high < 101  # the hour of the pause counts nowhere
    assert math.isfinite(low)
