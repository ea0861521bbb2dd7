"""Training diagnostics: layer statistics, recorded samples, and no influence on the run."""

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
from netloom.data.boxes import present
from netloom.document import DataChoice, Project
from netloom.store import RunArtifacts
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.diagnostics import MEASURES, places, read_history, read_samples
from netloom.training.diagnostics.layer_statistics import LayerStatistics
from netloom.training.diagnostics.observer import Observer
from netloom.training.diagnostics.prediction_cards import OBJECTS, ExampleCard, ObjectsCard, prediction_card, unpacked
from netloom.training.diagnostics.statistics_file import MOST, Writer
from netloom.training.speed.throughput import Throughput
from netloom.training.trainer import Callback, Trainer
from tests.hooks import hooks_set, left
from tests.networks import chain, digits_mlp, network
from tests.runs.examples import loop, moons


class Watched(Callback):
    """A callback that measures at every step, while a worker does so periodically."""

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
    """A completed run with all diagnostics."""
    trainer = loop(project, home)
    callback = Watched(project, trainer, folder)
    trainer.fit(callback)
    assert not (folder / "log.jsonl").exists(), (folder / "log.jsonl").read_text()
    return trainer, callback


def test_layer_statistics_match_manual_computation(home: Path, tmp_path: Path) -> None:
    """Compared with a second run of the same seed without hooks."""
    document = moons(epochs=1, gradient_clip=0.01)
    watched(document, home, tmp_path)
    history = read_history(RunArtifacts.in_directory(tmp_path))
    assert history is not None
    assert [index.name for index in history.places] == ["linear_1", "relu_1", "dropout_1", "batchnorm1d_1", "linear_2"]

    twin = loop(document, home)
    expected: list[dict[str, float]] = []

    class ByHand(Callback):
        def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
            layer: Any = twin.model.get_submodule("linear_1")
            self.before = torch.cat([weight.detach().flatten().clone() for weight in layer.parameters()])
            rng_state = torch.get_rng_state()
            with torch.no_grad():
                self.given = inputs[0] @ layer.weight.T + layer.bias
            loss = twin.objective.loss(twin.model(*inputs), targets)
            gradients = torch.autograd.grad(loss, list(layer.parameters()))
            self.gradient = torch.cat([value.flatten() for value in gradients])
            torch.set_rng_state(rng_state)

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
    assert history.steps.tolist() == list(range(1, len(expected) + 1))
    for measure in ("gradient", "weight", "update", "mean", "std"):
        assert history.of(measure)[:, 0] == pytest.approx([row[measure] for row in expected], rel=1e-3, abs=1e-6), (
            measure
        )
    for measure in ("zeros", "dead"):
        assert history.of(measure)[:, 1] == pytest.approx([row[f"relu {measure}"] for row in expected], abs=1e-3)
    assert np.isnan(history.of("gradient")[:, 1]).all()  # a ReLU has no weights
    assert np.isnan(history.of("dead")[:, 0]).all()  # zeros in the output of a Linear layer mean nothing


def test_observer_does_not_change_the_run(home: Path, tmp_path: Path) -> None:
    """Weights, random numbers and best epoch, with dropout: equal bit for bit."""
    document = moons(epochs=3)
    with hooks_set() as hooks:
        observed, _ = watched(document, home, tmp_path)
    assert hooks
    assert not left(hooks)
    unobserved = loop(document, home)
    unobserved.fit(Callback())
    for one, other in zip(
        observed.checkpoint().weights.values(), unobserved.checkpoint().weights.values(), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(observed.checkpoint().state["rng"], unobserved.checkpoint().state["rng"])
    assert observed.best.value == unobserved.best.value


def test_nested_layer_names_use_node_titles(home: Path) -> None:
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
    layer_places = places(document, model)
    assert [index.name for index in layer_places] == [
        "subnetwork_1 1 › Mix",
        "subnetwork_1 2 › Mix",
        "subnetwork_2 › Mix",
        "linear_1",
    ]
    assert layer_places[0].nodes == ("subnetwork_1", "linear_1")
    covered = {
        name for index in layer_places for name, _ in model.get_submodule(index.path).named_parameters(index.path)
    }
    assert covered == set(dict(model.named_parameters()))


def test_resumed_run_has_no_duplicate_records(home: Path, tmp_path: Path) -> None:
    document = moons(epochs=4)
    trainer = loop(document, home)
    callback = Watched(document, trainer, tmp_path, stop_at=9)
    trainer.fit(callback)
    checkpoint = deepcopy(trainer.checkpoint())
    callback.stop_at = 31  # these steps are lost
    trainer.fit(callback)
    assert read_history(RunArtifacts.in_directory(tmp_path)).steps[-1] == 31  # type: ignore[union-attr]
    with (tmp_path / "layers.bin").open("ab") as file:
        file.write(b"cut off")

    resumed = loop(document, home)
    resumed.resume(checkpoint)
    resumed.fit(Watched(document, resumed, tmp_path))
    whole_folder = tmp_path / "whole"
    whole_folder.mkdir()
    watched(document, home, whole_folder)
    history, whole = (
        read_history(RunArtifacts.in_directory(tmp_path)),
        read_history(RunArtifacts.in_directory(whole_folder)),
    )
    assert history is not None
    assert whole is not None
    assert history.steps.tolist() == whole.steps.tolist() == list(range(1, resumed.step + 1))
    assert np.array_equal(history.values, whole.values, equal_nan=True)
    first, second = (
        read_samples(RunArtifacts.in_directory(tmp_path)),
        read_samples(RunArtifacts.in_directory(whole_folder)),
    )
    assert first == second
    assert first is not None
    assert [line["epoch"] for line in first.epochs] == [1, 2, 3, 4]


def test_long_history_is_thinned(tmp_path: Path) -> None:
    writer = Writer(RunArtifacts.in_directory(tmp_path), [], [], 0)
    for step in range(1, 2 * MOST + 2):
        if step % writer.every == 0:
            writer.append(step, 0.0, np.zeros((0, len(MEASURES)), np.float32))
    history = read_history(RunArtifacts.in_directory(tmp_path))
    assert history is not None
    assert MOST / 2 <= len(history.steps) <= MOST
    assert history.steps[0] == 1
    assert (np.diff(history.steps) > 0).all()


def test_measurement_frequency_adapts_to_its_cost(home: Path) -> None:
    """After a measurement of 0.1 s, the next one waits until training took a hundred times as long."""
    trainer = loop(moons(), home)
    statistics, measurements = (
        LayerStatistics(trainer.model, places(moons(), trainer.model), every_s=0.01),
        list[float](),
    )

    def busy(seconds: float) -> None:
        deadline = time.process_time() + seconds
        while time.process_time() < deadline:
            pass

    deadline = time.process_time() + 0.5
    while time.process_time() < deadline:  # the first is the baseline, the second is the expensive one
        busy(0.002)
        statistics.before_step()
        if statistics.after_step(lambda: busy(0.1)) is not None:
            measurements.append(0.0)
    assert len(measurements) == 2


def test_recorded_samples_match_network_predictions(home: Path, tmp_path: Path) -> None:
    document = digits_mlp(epochs=3, learning_rate=3e-3, device="cpu")
    trainer, _ = watched(document, home, tmp_path)
    samples = read_samples(RunArtifacts.in_directory(tmp_path))
    assert samples is not None
    assert len(samples.rows) == 8
    assert [line["epoch"] for line in samples.epochs] == [1, 2, 3]
    rows = [row["row"] for row in samples.rows]
    assert set(rows) <= set(trainer.data.split["validation"].tolist())
    with torch.no_grad():
        probabilities = trainer.model.eval()(trainer.data.inputs["image"][rows]).softmax(1)
    for index, (row, prediction) in enumerate(zip(samples.rows, samples.epochs[-1]["said"], strict=True)):
        assert prediction["text"] == trainer.data.schema.target.classes[int(probabilities[index].argmax())]
        assert prediction["share"] == pytest.approx(float(probabilities[index].max()), abs=1e-5)
        assert row["true"] == trainer.data.target_text(row["row"])
        picture = trainer.data.example(row["row"]).image
        assert unpacked(row["picture"])[:, :, 0] == pytest.approx(np.asarray(picture) * 255, abs=0.51)


# One template for each objective that predicts rows; agents are shown as episodes.
ONE_EACH = {one.project.training.objective: name for name, one in sorted(templates().items(), reverse=True)}
LEARN_FROM_ROWS = sorted(
    name for objective, name in ONE_EACH.items() if OBJECTIVES[objective].task.explainable_prediction
)


@pytest.mark.parametrize("name", LEARN_FROM_ROWS)
def test_every_objective_records_samples(name: str, home: Path, tmp_path: Path) -> None:
    """Before any training, in a format that the page can display."""
    document = templates()[name].project
    trainer = loop(document, home)
    callback = Watched(document, trainer, tmp_path)
    callback.on_epoch_end(trainer)
    assert not (tmp_path / "log.jsonl").exists(), (tmp_path / "log.jsonl").read_text()
    samples = read_samples(RunArtifacts.in_directory(tmp_path))
    assert samples is not None
    (line,) = samples.epochs
    assert len(line["said"]) == len(samples.rows) > 0
    # Ranking scores have no scale, so they are not compared with the target.
    assert not (trainer.objective.task.scores_items and any("values" in row for row in samples.rows))
    for prediction in line["said"]:
        assert set(prediction) & {"text", "values", "picture", "classes", "boxes", "series"}
        for kind in ("picture", "classes"):
            if kind in prediction:
                assert unpacked(prediction[kind]).size > 0
    assert len(json.dumps(line)) < 500_000
    # Cards are read and written without loss, so files of all versions look the same.
    assert [ExampleCard.from_json(row).to_json() for row in samples.rows] == samples.rows
    assert [prediction_card(prediction).to_json() for prediction in line["said"]] == line["said"]


def test_remaining_time_is_a_range() -> None:
    throughput = Throughput()
    assert throughput.left(100) is None
    steps, now = 0, 0.0
    for beat in range(40):
        throughput.update(steps, now)
        now += 1.0
        steps += 10 if beat % 10 < 5 else 20  # twice as fast half of the time
    low, high = throughput.left(1000)  # type: ignore[misc]
    assert low == pytest.approx(50, rel=0.05)
    assert high == pytest.approx(100, rel=0.05)
    throughput.pause()
    throughput.update(steps, now + 3600)
    low, high = throughput.left(1000)  # type: ignore[misc]
    assert high < 101  # the pause of one hour is not counted
    assert math.isfinite(low)


def test_predicted_objects_are_recorded_with_their_scores(home: Path, tmp_path: Path) -> None:
    document = templates()["shapes_detector"].project
    document = document.model_copy(update={"data": DataChoice(dataset="shape_boxes", options={"rows": 60})})
    trainer = loop(document, home)
    with torch.no_grad():  # certain objects of the first class
        [*trainer.model.parameters()][-1][0] = 20.0
    Watched(document, trainer, tmp_path).on_epoch_end(trainer)
    samples = read_samples(RunArtifacts.in_directory(tmp_path))
    assert samples is not None
    (line,) = samples.epochs
    for row, prediction in zip(samples.rows, line["said"], strict=True):
        card, example = prediction_card(prediction), ExampleCard.from_json(row)
        assert isinstance(card, ObjectsCard)
        assert card.to_json() == prediction
        assert {(item.name, item.score) for item in card.objects} == {("circle", 1.0)}
        assert len(card.objects) <= OBJECTS
        assert isinstance(example.target, ObjectsCard)
        assert np.array(example.target.boxes).reshape(-1, 5) == pytest.approx(
            present(trainer.data.target[row["row"]].numpy()), abs=1e-4
        )
        assert example.to_json() == row
