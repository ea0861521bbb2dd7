"""Training settings against manual computation, torch and scikit-learn."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.optim.swa_utils import AveragedModel

from netloom.data import Prepared, prepare
from netloom.document import DataChoice, Project, Training, apply, dumps, loads
from netloom.document.training_settings import FIRST_FIELDS
from netloom.runs import fit_here
from netloom.templates import templates
from netloom.training import OBJECTIVES, TrainingError
from netloom.training.optimization.ema import EMA
from netloom.training.preflight import preflight_problems
from netloom.training.speed import speed_trials, step_speedups
from netloom.training.speed.precision import Precision
from netloom.training.trainer import Callback, Trainer
from tests.networks import chain
from tests.runs.examples import Recorder, loop, moons, supervised


def mlp(**training: Any) -> Project:
    """An MLP without dropout and batch norm, whose results would depend on the batch size."""
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 16}),
        ("Tanh", {}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset="moons"),
        training=Training(**{"epochs": 2, "learning_rate": 0.05, "device": "cpu", "optimizer": "sgd", **training}),
    )


def from_template(name: str, **training: Any) -> Project:
    return apply(templates()[name].project, {"kind": "project", "training": {"device": "cpu", **training}})


@pytest.mark.parametrize(
    "more", [{}, {"class_weights": (1.0, 3.0), "label_smoothing": 0.1}, {"optimizer": "adamw", "gradient_clip": 0.1}]
)
def test_gradient_accumulation_equals_the_large_batch(more: dict[str, Any], home: Path) -> None:
    large, small = (
        loop(mlp(batch_size=96, **more), home),
        loop(mlp(batch_size=32, gradient_accumulation_steps=3, **more), home),
    )
    assert (large.total_steps, large.batch_size) == (small.total_steps, small.batch_size)
    forward_calls: list[int] = []
    small.model.register_forward_hook(lambda *_: forward_calls.append(1))
    large.fit(Callback())
    small.fit(Callback())
    assert len(forward_calls) > 2.5 * small.total_steps
    for name, value in large.model.state_dict().items():
        torch.testing.assert_close(small.model.state_dict()[name], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["requests_tagger", "commands_joint", "diabetes"])
def test_accumulation_weights_parts_by_target_count(name: str, home: Path) -> None:
    """If some positions of a row have no target, a batch counts by its number of targets."""
    trainer = supervised(
        from_template(name, epochs=1, batch_size=7, gradient_accumulation_steps=3, optimizer="sgd"), home
    )
    trainer.model.eval()  # no dropout
    batch, target = trainer.loader.first_batch(20)
    parts = trainer.compute_gradients(trainer.model, batch, target)
    gradients = [None if weight.grad is None else weight.grad.clone() for weight in trainer.model.parameters()]
    trainer.training = trainer.training.model_copy(update={"gradient_accumulation_steps": 1})
    whole = trainer.compute_gradients(trainer.model, batch, target)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    for gradient, weight in zip(gradients, trainer.model.parameters(), strict=True):
        torch.testing.assert_close(gradient, weight.grad, rtol=1e-4, atol=1e-6)


def test_ema_matches_torch_averaged_model(home: Path) -> None:
    """The EMA is evaluated and kept as the best weights; the trained weights are the same as without it."""

    def mean(average: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        # Torch copies the first weights that it receives, and counts from there.
        share = min(0.8, (1 + int(count)) / (10 + int(count)))
        return share * average + (1 - share) * new

    class Mean(Callback):
        def __init__(self, ema_trainer: Trainer) -> None:
            self.theirs = AveragedModel(ema_trainer.model, avg_fn=mean)
            self.theirs.update_parameters(ema_trainer.model)
            self.theirs.n_averaged.zero_()

        def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
            count = self.theirs.n_averaged.clone()
            if count == 0:
                # Torch would only copy the weights at this step.
                for average, new in zip(self.theirs.parameters(), ema_trainer.model.parameters(), strict=True):
                    average.data.copy_(mean(average.data, new.data, count))
                self.theirs.n_averaged += 1
            else:
                self.theirs.update_parameters(ema_trainer.model)

    without_ema = loop(moons(), home)
    without_ema.fit(Callback())
    ema_trainer = loop(moons(ema_decay=0.8), home)
    torch_average = Mean(ema_trainer)
    ema_trainer.fit(torch_average)
    for name, value in without_ema.model.state_dict().items():
        assert torch.equal(value, ema_trainer.model.state_dict()[name])
    with ema_trainer.averaged_weights():
        averaged = [weight.detach().clone() for weight in ema_trainer.model.parameters()]
        measured = ema_trainer.evaluate("validation")
    for actual, expected in zip(averaged, torch_average.theirs.module.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    assert measured == ema_trainer.evaluate("validation")
    assert measured != without_ema.evaluate("validation")
    ema_trainer.model.load_state_dict(ema_trainer.best.weights)
    ema_trainer.ema = None
    assert ema_trainer.evaluate("validation")["loss"] == ema_trainer.best.value


def test_ema_resumes_from_older_state() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    mean = EMA(model, 0.4)
    mean.load_state_dict({"mean": [torch.tensor([[3.0]])], "steps": 2})
    for expected in (0.25 * 3 + 0.75, 4 / 13 * 1.5 + 9 / 13, 5 / 14 * 15 / 13 + 9 / 14):
        mean.update()
        (average,) = mean.state_dict()["mean"]
        assert average.item() == pytest.approx(expected)
    assert mean.state_dict()["steps"] == 5
    mean.load_state_dict({"mean": [torch.tensor([[3.0]])], "steps": 100})
    mean.update()
    with mean.averaged_weights():
        assert model.weight.item() == pytest.approx(0.4 * 3 + 0.6)
    assert model.weight.item() == 1.0


def data_of(name: str) -> Prepared:
    return prepare(templates()[name].project.data)


def configured(name: str, data: Prepared, **training: Any) -> Any:
    return OBJECTIVES[name].configured(Training(objective=name, **training), data, "cpu")


def test_balanced_class_weights_match_scikit_learn() -> None:
    data = data_of("breast_cancer")
    rows = data.target[data.split["train"]].numpy()
    expected = compute_class_weight("balanced", classes=np.unique(rows), y=rows)
    class_weights = configured("classification", data, class_weights="balanced").loss_weights.class_weights
    np.testing.assert_allclose(class_weights.numpy(), expected, rtol=1e-6)
    everything = compute_class_weight("balanced", classes=np.unique(rows), y=data.target.numpy())
    assert not np.allclose(class_weights.numpy(), everything, rtol=1e-6)


def test_class_weights_and_smoothing_affect_loss_not_metrics() -> None:
    data = data_of("breast_cancer")
    weighted = configured("classification", data, class_weights=(1.0, 4.0), label_smoothing=0.2)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(9, 2, generator=generator), data.target[:9]
    weights, log_probabilities = torch.tensor([1.0, 4.0]), output.log_softmax(1)
    hard = -(weights[target] * log_probabilities[torch.arange(9), target]).sum() / weights[target].sum()
    soft = -(weights * log_probabilities).sum() / (2 * weights[target].sum())
    torch.testing.assert_close(weighted.loss(output, target), 0.8 * hard + 0.2 * soft)
    unweighted = OBJECTIVES["classification"]
    assert torch.equal(weighted.scores(output, target).sums["loss"], unweighted.scores(output, target).sums["loss"])
    assert (weighted.training_loss_name, unweighted.training_loss_name) == ("weighted_loss", "batch_loss")
    assert unweighted.loss_weights.is_unweighted


@pytest.mark.parametrize("name", ["requests_tagger", "shapes_unet", "commands_joint"])
def test_class_weights_apply_to_tags_and_pixels(name: str, home: Path) -> None:
    project = from_template(name, class_weights="balanced", label_smoothing=0.05, epochs=1)
    trainer = loop(project, home)
    weights = trainer.objective.loss_weights.class_weights
    assert weights is not None
    assert len(weights) == len(trainer.data.schema.target.classes)
    trainer.fit(Recorder(2))


@pytest.mark.parametrize("kind", ["mse", "mae", "huber", "quantile"])
def test_regression_losses_match_formulas_and_train(kind: str, home: Path) -> None:
    data = data_of("diabetes")
    objective = configured("regression", data, regression_loss=kind, huber_delta=0.5, quantile=0.9)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(40, 1, generator=generator), data.target[:40]
    residuals = (target - output).double().numpy()
    by_hand = {
        "mse": (residuals**2).mean(),
        "mae": np.abs(residuals).mean(),
        "huber": np.where(np.abs(residuals) <= 0.5, residuals**2 / 2, 0.5 * (np.abs(residuals) - 0.25)).mean(),
        "quantile": mean_pinball_loss(target.numpy(), output.numpy(), alpha=0.9),
    }[kind]
    assert float(objective.loss(output, target)) == pytest.approx(by_hand, rel=1e-5)
    scores = objective.scores(output, target)
    assert float(scores.sums["loss"]) / scores.count == pytest.approx(by_hand, rel=1e-5)
    assert float(scores.sums["mae"]) / scores.count == pytest.approx(
        np.abs(residuals).mean() * data.fitted_numbers.std[0], rel=1e-5
    )
    trainer = loop(from_template("diabetes", regression_loss=kind, epochs=3), home)
    before = trainer.evaluate("validation")["loss"]
    trainer.fit(Callback())
    assert trainer.best.value < before


def test_quantile_regression_learns_the_quantile(home: Path) -> None:
    trained = fit_here(from_template("diabetes", regression_loss="quantile", quantile=0.9, epochs=40), home)
    rows = trained.data.split["train"]
    below = (trained.data.target[rows] <= trained.output_of("train")).float().mean()
    assert 0.8 < float(below) < 0.99


def test_gradient_values_are_clipped(home: Path) -> None:
    class Largest(Callback):
        def __init__(self) -> None:
            self.size = 0.0

        def should_continue(self, loop: Trainer) -> bool:
            sizes = [float(weight.grad.abs().max()) for weight in loop.model.parameters() if weight.grad is not None]
            self.size = max(self.size, *sizes)
            return True

    free, clipped = Largest(), Largest()
    loop(moons(epochs=1), home).fit(free)
    loop(moons(epochs=1, gradient_clip_value=0.003), home).fit(clipped)
    assert clipped.size == pytest.approx(0.003)
    assert free.size > 0.01


@pytest.mark.parametrize("monitor", ["loss", "accuracy"])
def test_best_weights_follow_the_monitored_metric(monitor: str, home: Path) -> None:
    trainer, recorder = loop(moons(epochs=12, learning_rate=0.2, monitor=monitor, early_stopping=4), home), Recorder()
    trainer.fit(recorder)
    curve = recorder.curve("validation", monitor)
    best = max(curve) if monitor == "accuracy" else min(curve)
    assert (trainer.best.value, trainer.best.epoch) == (best, curve.index(best))
    assert len(curve) - 1 - curve.index(best) <= 4
    trainer.model.load_state_dict(trainer.best.weights)
    assert trainer.evaluate("validation")[monitor] == best


def test_keep_last_returns_the_final_weights(home: Path) -> None:
    best = loop(moons(learning_rate=0.3), home)
    best.fit(Callback())
    last = loop(moons(learning_rate=0.3, checkpoint="last"), home)
    last.fit(Callback())
    final_weights = {name: value.clone() for name, value in best.model.state_dict().items()}
    assert best.best.epoch < 3
    used = last.best_model().state_dict()
    assert all(torch.equal(used[name], final_weights[name]) for name in final_weights)
    assert not all(torch.equal(best.best_model().state_dict()[name], final_weights[name]) for name in final_weights)


def test_bf16_forward_uses_bfloat16_and_learns(home: Path) -> None:
    trainer, dtypes = loop(moons(precision="bf16", epochs=6), home), []

    def record_dtype(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if module.training:
            dtypes.append(output.dtype)

    trainer.model.get_submodule("linear_1").register_forward_hook(record_dtype)
    before = trainer.evaluate("validation")["loss"]
    trainer.fit(Callback())
    assert set(dtypes) == {torch.bfloat16}
    assert trainer.best.value < 0.9 * before
    assert all(weight.dtype == torch.float32 for weight in trainer.model.parameters())


def test_network_without_a_kernel_for_bf16_is_refused_in_words() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_forward_hook(lambda module, inputs, output: torch.linalg.lu_factor(output).LU)

    with pytest.raises(TrainingError, match="cannot be trained in bf16 on this device; set the precision to float32"):
        Precision("bf16", "cpu").forward(model, [torch.eye(2)])


def test_error_with_another_cause_than_the_precision_is_not_reworded() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_forward_hook(lambda module, inputs, output: output.view(3))
    with pytest.raises(RuntimeError, match="shape '\\[3\\]' is invalid") as raised:
        Precision("bf16", "cpu").forward(model, [torch.eye(2)])
    assert not isinstance(raised.value, TrainingError)


def test_float32_forward_adds_no_wrapper() -> None:
    inputs = [torch.zeros(1)]
    assert Precision("float32", "cpu").forward(lambda value: value, inputs) is inputs[0]


def test_fp16_without_gpu_is_rejected(home: Path) -> None:
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        loop(moons(precision="fp16"), home)


class Notes(Callback):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log_event(self, kind: str, sentence: str) -> None:
        self.said.append(sentence)


def finished_run(project: Project, home: Path) -> tuple[list[str], dict[str, torch.Tensor], bool | None]:
    trainer, notes = supervised(project, home), Notes()
    trainer.fit(notes)
    return notes.said, dict(trainer.model.state_dict()), trainer.speedups.compiled


def equal_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_short_run_is_not_compiled(home: Path) -> None:
    events, weights, compiled = finished_run(moons(compile="auto"), home)
    assert "off: the whole run takes only about" in events[0]
    assert compiled is False
    assert equal_weights(weights, finished_run(moons(), home)[1])


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found"), "no C++ compiler"),
        (ValueError("a graph\nof two lines"), "it failed (ValueError: a graph)"),
    ],
)
def test_run_continues_when_compilation_fails(
    raised: Exception, told: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_compile(model: nn.Module) -> Any:
        def call(*inputs: torch.Tensor) -> torch.Tensor:
            model(*inputs)  # uses random numbers and updates batch norm statistics
            raise raised

        return call

    monkeypatch.setattr(speed_trials, "WORTH_COMPILING_S", 0.0)
    monkeypatch.setattr(speed_trials, "compiled", failing_compile)
    events, weights, compiled = finished_run(moons(compile="auto"), home)
    assert told in events[0]
    assert compiled is False
    assert equal_weights(weights, finished_run(moons(), home)[1])


@pytest.mark.parametrize("slower", [False, True])
def test_compilation_is_kept_only_when_faster(slower: bool, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def compile_model(model: nn.Module) -> Any:
        def call(*inputs: torch.Tensor) -> Any:
            calls.append(1)
            if slower:
                time.sleep(0.01)
            return model(*inputs)

        return call

    monkeypatch.setattr(speed_trials, "WORTH_COMPILING_S", 0.0)
    monkeypatch.setattr(speed_trials, "MARGIN", 1.0 if slower else 100.0)
    monkeypatch.setattr(speed_trials, "compiled", compile_model)
    events, weights, compiled = finished_run(moons(compile="auto", epochs=1), home)
    assert compiled is not slower
    assert ("is on" in events[0]) is not slower
    assert (len(calls) > speed_trials.UNTIMED + speed_trials.TIMED) is not slower
    assert equal_weights(weights, finished_run(moons(epochs=1), home)[1])


def test_precision_is_not_tried_on_processors_without_fast_bf16(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    events, weights, _ = finished_run(moons(precision="auto", epochs=1), home)
    assert "no AVX-512 instructions" in events[0]
    assert equal_weights(weights, finished_run(moons(epochs=1), home)[1])
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    assert not speed_trials.why_not_lower("cpu")
    assert not speed_trials.why_not_lower("cuda")


def test_short_run_chooses_float32(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_speedups, "why_not_lower", lambda device: "")
    events, weights, _ = finished_run(moons(precision="auto"), home)
    assert "bf16 is off: the whole run takes only about" in events[0]
    assert equal_weights(weights, finished_run(moons(), home)[1])


@pytest.mark.parametrize("faster", [False, True])
def test_precision_is_lowered_only_when_faster(faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_LOWER_PRECISION_S", 0.0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    losses: dict[bool, list[float]] = {False: [], True: []}

    def step(lower: bool) -> torch.Tensor:
        if lower is not faster:
            time.sleep(0.004)
        loss: torch.Tensor = model(torch.arange(32.0).reshape(8, 4)).square().mean()
        torch.autograd.backward(loss)
        losses[lower].append(loss.item())
        return loss.detach()

    trial = speed_trials.time_precision(model, step, 100)
    assert trial.used is faster
    assert ("is on" in trial.sentence) is faster
    assert losses[True][0] == losses[False][speed_trials.UNTIMED + 1], "both draw the same random numbers"
    assert equal_weights(before, model.state_dict())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("loss_factor", "gradient_factor", "message"),
    [
        (1.02, 1.0, "the first loss is"),
        (math.nan, 1.0, "the first loss is nan in bf16"),
        (1.0, -1.0, "cosine similarity of only -1"),
    ],
)
def test_precision_with_another_outcome_is_not_used(
    loss_factor: float, gradient_factor: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_LOWER_PRECISION_S", 0.0)
    model = nn.Linear(2, 1)

    def step(lower: bool) -> torch.Tensor:
        model.zero_grad()
        loss: torch.Tensor = model(torch.ones(3, 2)).square().mean()
        torch.autograd.backward(loss * (gradient_factor if lower else 1.0))
        return loss.detach() * (loss_factor if lower else 1.0)

    trial = speed_trials.time_precision(model, step, 100)
    assert not trial.used
    assert message in trial.sentence


def test_precision_of_a_network_without_some_gradients_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_LOWER_PRECISION_S", 0.0)
    experts = nn.ModuleList(nn.Linear(2, 1) for _ in range(2))

    def step(lower: bool) -> torch.Tensor:
        experts.zero_grad()
        loss: torch.Tensor = experts[int(lower)](torch.ones(3, 2)).square().mean()
        torch.autograd.backward(loss)
        return torch.ones(())

    assert "cosine similarity of only 0." in speed_trials.time_precision(experts, step, 100).sentence
    frozen = nn.Linear(2, 1).requires_grad_(False)
    assert "a step takes" in speed_trials.time_precision(frozen, lambda lower: torch.ones(()), 100).sentence
    assert "a step takes" in speed_trials.time_precision(nn.ReLU(), lambda lower: torch.ones(()), 100).sentence


def test_resumed_run_keeps_its_chosen_precision(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_LOWER_PRECISION_S", 0.0)
    monkeypatch.setattr(speed_trials, "MARGIN", 100.0)
    monkeypatch.setattr(speed_trials, "MIN_COSINE", 0.5)
    monkeypatch.setattr(speed_trials, "LOSS_TOLERANCE", 0.1)
    monkeypatch.setattr(step_speedups, "why_not_lower", lambda device: "")
    trainer, notes = loop(moons(precision="auto", epochs=2), home), Notes()
    assert not trainer.fit(notes, Recorder(stop_at=3))
    assert "bf16 is on" in notes.said[0]
    checkpoint = trainer.checkpoint()
    monkeypatch.setattr(step_speedups, "time_precision", None)  # no second trial
    resumed = loop(moons(precision="auto", epochs=2), home)
    resumed.resume(checkpoint)
    assert resumed.fit()
    expected = loop(moons(precision="bf16", epochs=2), home)
    assert expected.fit()
    assert equal_weights(dict(resumed.model.state_dict()), dict(expected.model.state_dict()))


def test_agent_and_gan_do_not_choose_a_precision() -> None:
    for name in ("ppo", "gan"):
        (problem,) = preflight_problems(Training(objective=name, precision="auto"), OBJECTIVES[name], None, [], "cpu")
        assert "set" in problem
        assert "precision" in problem


@pytest.mark.parametrize("name", ["ppo", "reinforce", "dqn"])
def test_agent_monitors_only_the_return(name: str) -> None:
    def problems(monitor: str) -> list[str]:
        return preflight_problems(Training(objective=name, monitor=monitor), OBJECTIVES[name], None, [], "cpu")

    assert problems("loss") == problems("return") == []
    for other in OBJECTIVES[name].metrics.keys() - {"return"}:
        (problem,) = problems(other)
        assert "choose one of loss, return" in problem


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"monitor": "dice"}, "no metric 'dice' to monitor"),
        ({"class_weights": (1.0, 2.0, 3.0)}, "3 class weights, but the data has 2 classes"),
        ({"class_weights": (0.0, 0.0)}, "All class weights are 0"),
        ({"layer_lr_multipliers": {"linear_9": 0.1}}, "set for linear_9"),
    ],
)
def test_invalid_settings_are_rejected_before_training(training: dict[str, Any], message: str, home: Path) -> None:
    with pytest.raises(TrainingError, match=message):
        loop(moons(**training), home)


def test_gan_rejects_accumulation_and_reduced_precision() -> None:
    training = Training(objective="gan", gradient_accumulation_steps=2, precision="bf16")
    assert len(preflight_problems(training, OBJECTIVES["gan"], None, [], "cpu")) == 2
    assert preflight_problems(Training(objective="gan"), OBJECTIVES["gan"], None, [], "cpu") == []


def test_only_non_default_settings_are_serialized() -> None:
    document = moons(ema_decay=0.99, layer_lr_multipliers={"linear_1": 0.5}, class_weights=(1.0, 2.0), optimizer="muon")
    value = json.loads(dumps(document))["training"]
    assert value.keys() - FIRST_FIELDS == {"ema_decay", "layer_lr_multipliers", "class_weights"}
    assert loads(dumps(document)) == document
    assert json.loads(dumps(moons()))["training"].keys() == FIRST_FIELDS
