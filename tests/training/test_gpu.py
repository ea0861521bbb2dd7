"""A GPU computes what the CPU computes: `pytest --device cuda` trains every template on it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import netloom
from netloom.compile import source
from netloom.data import prepare
from netloom.document import Project
from netloom.explain import explain
from netloom.export import export
from netloom.runs import predict
from netloom.templates import templates
from netloom.training.auxiliary_losses import AuxiliaryLosses
from netloom.training.loop import SupervisedTrainer
from netloom.training.speed import speed_trials
from netloom.training.speed.cuda_graph import recorded
from netloom.training.speed.precision import Precision
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer
from netloom.validation import analyze
from tests.layers.test_catalogue import CASES, Case, run
from tests.networks import digits_mlp, with_rows
from tests.runs.test_resuming import check_resume_is_exact

pytestmark = pytest.mark.gpu

# Their examples write several values to one position, and which of them stays is not defined.
UNORDERED = {"MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "Scatter"}


def new_trainer(project: Project, home: Path, device: str, **training: Any) -> Trainer:
    settings = {"epochs": 1, "seed": 3, "teacher": None, "device": device, **training}
    changed = project.model_copy(update={"training": project.training.model_copy(update=settings)})
    data = prepare(changed.data, home)
    torch.manual_seed(3)
    return build_trainer(changed, source(changed, analyze(changed, data.schema)), data)


def fitted(name: str, home: Path, device: str, **training: Any) -> dict[str, float]:
    """The metrics of a template after an epoch, on 240 rows where fewer rows do not change the network."""
    project = templates()[name].project
    fewer = with_rows(project, 240)
    fits = not analyze(fewer, prepare(fewer.data, home).schema).errors
    trainer = new_trainer(fewer if fits else project, home, device, **training)
    assert next(trainer.model.parameters()).device.type == device
    trainer.fit()
    return trainer.evaluate("validation")


@pytest.mark.parametrize("case", CASES)
def test_layers_compute_the_same(case: Case) -> None:
    model = copy.deepcopy(case.module).eval()
    on_gpu = copy.deepcopy(model).cuda()
    inputs = case.tensors()
    # cuDNN has no gradients of recurrent layers in evaluation mode, and rounds inputs of convolutions to TF32.
    with torch.backends.cudnn.flags(enabled=False):
        expected, computed = run(model, inputs), run(on_gpu, [value.cuda() for value in inputs])
        assert all(value.is_cuda for value in computed)
        assert [value.shape for value in computed] == [value.shape for value in expected]
        if case.name in UNORDERED:
            return
        for value, reference in zip(computed, expected, strict=True):
            torch.testing.assert_close(value.cpu(), reference, rtol=1e-3, atol=1e-4)
        gradients = []
        for network, outputs in ((model, expected), (on_gpu, computed)):
            scores = [value.square().sum() for value in outputs if value.requires_grad]
            if scores:
                torch.stack(scores).sum().backward()  # type: ignore[no-untyped-call]
            flat = [weight.grad.flatten().cpu() for weight in network.parameters() if weight.grad is not None]
            gradients.append(torch.cat([*flat, torch.zeros(1)]))
    assert (gradients[0] - gradients[1]).norm() <= 1e-3 * gradients[0].norm() + 1e-5


@pytest.mark.parametrize("name", templates())
def test_templates_train_as_on_the_cpu(name: str, home: Path) -> None:
    """Dropout and noise have other random numbers on a GPU, so that results differ a little."""
    on_gpu, on_cpu = fitted(name, home, "cuda"), fitted(name, home, "cpu")
    assert on_gpu.keys() == on_cpu.keys()
    assert all(math.isnan(on_cpu[key]) or math.isfinite(value) for key, value in on_gpu.items())
    if "loss" in on_cpu:
        assert on_gpu["loss"] == pytest.approx(on_cpu["loss"], rel=0.15)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["digits_cnn", "intents_transformer", "intents_lstm", "shapes_unet", "digits_vae"])
def test_mixed_precision_has_about_the_same_loss(name: str, precision: str, home: Path) -> None:
    mixed, single = fitted(name, home, "cuda", precision=precision), fitted(name, home, "cuda")
    assert mixed["loss"] == pytest.approx(single["loss"], rel=0.05)


class Stop(Callback):
    """Stops training after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def should_continue(self, trainer: Trainer) -> bool:
        return trainer.step < self.step


@pytest.mark.parametrize("name", ["digits_cnn", "intents_transformer"])
def test_resumed_training_equals_an_uninterrupted_one(name: str, home: Path, tmp_path: Path) -> None:
    """Also with dropout, whose random numbers are those of the GPU."""
    project = with_rows(templates()[name].project, 240)
    assert "Dropout" in {node.type for node in project.main_network.nodes.values()}
    training = project.training.model_copy(update={"epochs": 2, "device": "cuda"})
    check_resume_is_exact(project.model_copy(update={"training": training}), 3, home, tmp_path)


@pytest.fixture
def always_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_RECORDING_S", 0.0)
    monkeypatch.setattr(speed_trials, "MARGIN", 100.0)


class Events(Callback):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def log_event(self, kind: str, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.mark.usefixtures("always_recorded")
@pytest.mark.parametrize("name", templates())
def test_cuda_graphs_train_the_same_weights(name: str, home: Path) -> None:
    """Bit for bit, with dropout and auxiliary losses, and with a smaller last batch."""
    project = with_rows(templates()[name].project, 240)
    if analyze(project, prepare(project.data, home).schema).errors:
        project = templates()[name].project
    plain = new_trainer(project, home, "cuda", epochs=2, cuda_graphs="off")
    plain.fit()
    graph = new_trainer(project, home, "cuda", epochs=2)  # which seeds the random numbers again
    graph.fit(events := Events())
    if isinstance(graph, SupervisedTrainer):
        assert graph.speedups.recorded is (None if graph.why_not_compiled else True), events.sentences
    weights = plain.model.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in graph.model.state_dict().items())


@pytest.mark.usefixtures("always_recorded")
@pytest.mark.parametrize("name", ["digits_cnn", "intents_experts", "intents_lstm", "shapes_unet", "sine_own_cell"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_cuda_graphs_train_in_mixed_precision(name: str, precision: str, home: Path) -> None:
    """Where a weight is read several times in a step, its gradients are added in float32, otherwise in bf16."""
    losses = []
    for choice in ("off", "auto"):
        project = with_rows(templates()[name].project, 240)
        trainer = new_trainer(project, home, "cuda", epochs=2, cuda_graphs=choice, precision=precision)
        trainer.fit(events := Events())
        losses.append(trainer.evaluate("validation")["loss"])
    assert isinstance(trainer, SupervisedTrainer)
    assert trainer.speedups.recorded, events.sentences
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.usefixtures("always_recorded")
@pytest.mark.parametrize("name", ["digits_cnn", "intents_transformer", "digits_vae"])
def test_resumed_training_with_cuda_graphs_equals_an_uninterrupted_one(name: str, home: Path, tmp_path: Path) -> None:
    project = with_rows(templates()[name].project, 240)
    training = project.training.model_copy(update={"epochs": 2, "device": "cuda"})
    trainer = check_resume_is_exact(project.model_copy(update={"training": training}), 3, home, tmp_path)
    assert isinstance(trainer, SupervisedTrainer)
    assert trainer.speedups.recorded


@pytest.mark.usefixtures("always_recorded")
def test_training_continues_if_a_model_cannot_be_recorded() -> None:
    class Waits(nn.Module):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return value * 2 if value.sum().item() > 0 else value

    def trained(tries: bool) -> list[float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), Waits(), nn.Linear(4, 1)).cuda()
        value = torch.arange(32.0, device="cuda").reshape(8, 4)

        def step(call: Callable[..., Any]) -> torch.Tensor:
            model.zero_grad()
            loss: torch.Tensor = call(value).square().mean()
            torch.autograd.backward(loss)
            return loss.detach()

        if tries:
            record = partial(recorded, model, [value], Precision("float32", "cuda"), AuxiliaryLosses([]))
            trial = speed_trials.time_cuda_graph(model, record, step, 100)
            assert not trial.used
            assert "CUDA graphs are off: " in trial.sentence
        return [step(model).item() for _ in range(3)]

    assert trained(tries=True) == trained(tries=False)


@pytest.mark.parametrize(("first", "second"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_training_resumes_on_the_other_device(first: str, second: str, home: Path) -> None:
    project = templates()["digits_cnn"].project
    begun, resumed = (new_trainer(project, home, device, epochs=2) for device in (first, second))
    assert not begun.fit(Stop(begun.steps_per_epoch + 1))
    resumed.resume(begun.checkpoint(), dict(begun.best.weights))
    assert resumed.fit()
    assert resumed.evaluate("validation")["accuracy"] > 0.8


def test_run_of_a_gpu_is_used_on_the_cpu(home: Path, tmp_path: Path) -> None:
    trained = netloom.train(digits_mlp(epochs=5), device="cuda", save=True, home=home)
    assert trained.run is not None
    assert trained.run.summary.device == "cuda"
    assert {weight.device.type for weight in trained.model.parameters()} == {"cpu"}
    assert netloom.evaluate(trained).metrics["accuracy"] > 0.8
    assert predict(trained, [trained.data.raw.row(0)])
    assert explain(trained, "integrated_gradients", 0).verdict
    for name in ("onnx", "pt2"):
        export(trained, name, tmp_path / name)
