"""What a recipe does to a step, compared with the same done by hand or with torch's and scikit-learn's own."""

from __future__ import annotations

import json
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
from netloom.training import OBJECTIVES, TrainingError, compilation
from netloom.training.ema import EMA
from netloom.training.precision import Precision
from netloom.training.preflight import preflight_problems
from netloom.training.trainer import Callback, Trainer
from tests.networks import chain
from tests.runs.examples import Recorder, loop, moons, supervised


def plain(**training: Any) -> Project:
    """Without dropout and batch norm, by which the size of a batch would count."""
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 16}),
        ("Tanh", {}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset="moons"),
        training=Training(**{"epochs": 2, "learning_rate": 0.05, "device": "cpu", "optimizer": "sgd", **training}),
    )


def of_template(name: str, **training: Any) -> Project:
    return apply(templates()[name].project, {"kind": "project", "training": {"device": "cpu", **training}})


@pytest.mark.parametrize(
    "more", [{}, {"class_weights": (1.0, 3.0), "label_smoothing": 0.1}, {"optimizer": "adamw", "gradient_clip": 0.1}]
)
def test_accumulation_equals_the_large_batch(more: dict[str, Any], home: Path) -> None:
    large, small = loop(plain(batch_size=96, **more), home), loop(plain(batch_size=32, accumulation=3, **more), home)
    assert (large.total_steps, large.batch_size) == (small.total_steps, small.batch_size)
    calls: list[int] = []
    small.model.register_forward_hook(lambda *_: calls.append(1))
    large.fit(Callback())
    small.fit(Callback())
    assert len(calls) > 2.5 * small.total_steps
    for name, value in large.model.state_dict().items():
        torch.testing.assert_close(small.model.state_dict()[name], value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["requests_tagger", "diabetes"])
def test_parts_count_as_much_as_they_hold(name: str, home: Path) -> None:
    """Where some places of a row have no target, its batch counts as many targets as it has."""
    made = supervised(of_template(name, epochs=1, batch_size=7, accumulation=3, optimizer="sgd"), home)
    made.model.eval()  # no dropout
    batch, target = made.loader.first_batch(20)
    parts = made.compute_gradients(made.model, batch, target)
    found = [None if weight.grad is None else weight.grad.clone() for weight in made.model.parameters()]
    made.training = made.training.model_copy(update={"accumulation": 1})
    whole = made.compute_gradients(made.model, batch, target)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    for one, weight in zip(found, made.model.parameters(), strict=True):
        torch.testing.assert_close(one, weight.grad, rtol=1e-4, atol=1e-6)


def test_the_mean_of_weights_is_that_of_torch(home: Path) -> None:
    """Measured, kept as best, and used; the weights that learn go on as without it."""

    def mean(kept: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
        # Torch copies the first weights that it is shown, and counts from there.
        share = min(0.8, (1 + int(count)) / (10 + int(count)))
        return share * kept + (1 - share) * new

    class Mean(Callback):
        def __init__(self, made: Trainer) -> None:
            self.theirs = AveragedModel(made.model, avg_fn=mean)
            self.theirs.update_parameters(made.model)
            self.theirs.n_averaged.zero_()

        def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
            count = self.theirs.n_averaged.clone()
            if count == 0:
                # The step that torch would take as the beginning.
                for kept, new in zip(self.theirs.parameters(), made.model.parameters(), strict=True):
                    kept.data.copy_(mean(kept.data, new.data, count))
                self.theirs.n_averaged += 1
            else:
                self.theirs.update_parameters(made.model)

    bare = loop(moons(), home)
    bare.fit(Callback())
    made = loop(moons(average=0.8), home)
    watch = Mean(made)
    made.fit(watch)
    for name, value in bare.model.state_dict().items():
        assert torch.equal(value, made.model.state_dict()[name])
    with made.averaged_weights():
        ours = [weight.detach().clone() for weight in made.model.parameters()]
        measured = made.evaluate("validation")
    for one, other in zip(ours, watch.theirs.module.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert measured == made.evaluate("validation")
    assert measured != bare.evaluate("validation")
    made.model.load_state_dict(made.best.weights)
    made.ema = None
    assert made.evaluate("validation")["loss"] == made.best.value


def test_the_mean_goes_on_from_the_state_of_an_earlier_release() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    mean = EMA(model, 0.4)
    mean.load_state_dict({"mean": [torch.tensor([[3.0]])], "steps": 2})
    for expected in (0.25 * 3 + 0.75, 4 / 13 * 1.5 + 9 / 13, 5 / 14 * 15 / 13 + 9 / 14):
        mean.update()
        (found,) = mean.state_dict()["mean"]
        assert found.item() == pytest.approx(expected)
    assert mean.state_dict()["steps"] == 5
    mean.load_state_dict({"mean": [torch.tensor([[3.0]])], "steps": 100})
    mean.update()
    with mean.in_place():
        assert model.weight.item() == pytest.approx(0.4 * 3 + 0.6)
    assert model.weight.item() == 1.0


def data_of(name: str) -> Prepared:
    return prepare(templates()[name].project.data)


def configured(name: str, data: Prepared, **training: Any) -> Any:
    return OBJECTIVES[name].configured(Training(objective=name, **training), data, "cpu")


def test_balanced_weights_are_those_of_scikit_learn_on_training_rows() -> None:
    data = data_of("breast_cancer")
    rows = data.target[data.split["train"]].numpy()
    expected = compute_class_weight("balanced", classes=np.unique(rows), y=rows)
    found = configured("classification", data, class_weights="balanced").loss_weights.class_weights
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    everything = compute_class_weight("balanced", classes=np.unique(rows), y=data.target.numpy())
    assert not np.allclose(found.numpy(), everything, rtol=1e-6)


def test_weights_and_smoothing_change_what_is_lowered_and_not_what_is_measured() -> None:
    data = data_of("breast_cancer")
    made = configured("classification", data, class_weights=(1.0, 4.0), label_smoothing=0.2)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(9, 2, generator=generator), data.target[:9]
    weights, shares = torch.tensor([1.0, 4.0]), output.log_softmax(1)
    hard = -(weights[target] * shares[torch.arange(9), target]).sum() / weights[target].sum()
    soft = -(weights * shares).sum() / (2 * weights[target].sum())
    torch.testing.assert_close(made.loss(output, target), 0.8 * hard + 0.2 * soft)
    bare = OBJECTIVES["classification"]
    assert torch.equal(made.scores(output, target).sums["loss"], bare.scores(output, target).sums["loss"])
    assert (made.training_loss_name, bare.training_loss_name) == ("weighted_loss", "batch_loss")
    assert bare.loss_weights.is_unweighted


@pytest.mark.parametrize("name", ["requests_tagger", "shapes_unet", "commands_joint"])
def test_classes_of_places_and_pixels_are_weighted_too(name: str, home: Path) -> None:
    project = of_template(name, class_weights="balanced", label_smoothing=0.05, epochs=1)
    made = loop(project, home)
    weights = made.objective.loss_weights.class_weights
    assert weights is not None
    assert len(weights) == len(made.data.schema.target.classes)
    made.fit(Recorder(2))


@pytest.mark.parametrize("kind", ["mse", "mae", "huber", "quantile"])
def test_regression_losses(kind: str, home: Path) -> None:
    data = data_of("diabetes")
    made = configured("regression", data, regression_loss=kind, huber_delta=0.5, quantile=0.9)
    generator = torch.Generator().manual_seed(0)
    output, target = torch.randn(40, 1, generator=generator), data.target[:40]
    missing = (target - output).double().numpy()
    by_hand = {
        "mse": (missing**2).mean(),
        "mae": np.abs(missing).mean(),
        "huber": np.where(np.abs(missing) <= 0.5, missing**2 / 2, 0.5 * (np.abs(missing) - 0.25)).mean(),
        "quantile": mean_pinball_loss(target.numpy(), output.numpy(), alpha=0.9),
    }[kind]
    assert float(made.loss(output, target)) == pytest.approx(by_hand, rel=1e-5)
    scores = made.scores(output, target)
    assert float(scores.sums["loss"]) / scores.count == pytest.approx(by_hand, rel=1e-5)
    assert float(scores.sums["mae"]) / scores.count == pytest.approx(np.abs(missing).mean(), rel=1e-5)
    run = loop(of_template("diabetes", regression_loss=kind, epochs=3), home)
    before = run.evaluate("validation")["loss"]
    run.fit(Callback())
    assert run.best.value < before


def test_a_quantile_is_learned(home: Path) -> None:
    trained = fit_here(of_template("diabetes", regression_loss="quantile", quantile=0.9, epochs=40), home)
    rows = trained.data.split["train"]
    below = (trained.data.target[rows] <= trained.output_of("train")).float().mean()
    assert 0.8 < float(below) < 0.99


def test_each_number_of_a_gradient_is_clipped(home: Path) -> None:
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
def test_best_is_by_the_measure_that_is_chosen(monitor: str, home: Path) -> None:
    made, seen = loop(moons(epochs=12, learning_rate=0.2, monitor=monitor, early_stopping=4), home), Recorder()
    made.fit(seen)
    curve = seen.curve("validation", monitor)
    best = max(curve) if monitor == "accuracy" else min(curve)
    assert (made.best.value, made.best.epoch) == (best, curve.index(best))
    assert len(curve) - 1 - curve.index(best) <= 4
    made.model.load_state_dict(made.best.weights)
    assert made.evaluate("validation")[monitor] == best


def test_last_weights_can_be_kept_in_place_of_the_best(home: Path) -> None:
    best = loop(moons(learning_rate=0.3), home)
    best.fit(Callback())
    last = loop(moons(learning_rate=0.3, keep="last"), home)
    last.fit(Callback())
    ended = {name: value.clone() for name, value in best.model.state_dict().items()}
    assert best.best.epoch < 3
    used = last.best_model().state_dict()
    assert all(torch.equal(used[name], ended[name]) for name in ended)
    assert not all(torch.equal(best.best_model().state_dict()[name], ended[name]) for name in ended)


def test_bf16_computes_with_fewer_bits_and_learns(home: Path) -> None:
    made, seen = loop(moons(precision="bf16", epochs=6), home), []

    def look(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if module.training:
            seen.append(output.dtype)

    made.model.get_submodule("linear_1").register_forward_hook(look)
    before = made.evaluate("validation")["loss"]
    made.fit(Callback())
    assert set(seen) == {torch.bfloat16}
    assert made.best.value < 0.9 * before
    assert all(weight.dtype == torch.float32 for weight in made.model.parameters())


def test_float32_is_no_other_call() -> None:
    inputs = [torch.zeros(1)]
    assert Precision("float32", "cpu").forward(lambda value: value, inputs) is inputs[0]


def test_fp16_without_a_gpu_is_refused(home: Path) -> None:
    with pytest.raises(TrainingError, match="fp16 needs a GPU"):
        loop(moons(precision="fp16"), home)


class Notes(Callback):
    def __init__(self) -> None:
        self.said: list[str] = []

    def log_event(self, kind: str, sentence: str) -> None:
        self.said.append(sentence)


def ended(project: Project, home: Path) -> tuple[list[str], dict[str, torch.Tensor], bool | None]:
    made, notes = loop(project, home), Notes()
    made.fit(notes)
    return notes.said, dict(made.model.state_dict()), made.compiled


def alike(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_short_run_is_not_compiled_and_ends_as_it_would(home: Path) -> None:
    said, weights, compiled = ended(moons(compile="auto"), home)
    assert "off: the whole run takes only about" in said[0]
    assert compiled is False
    assert alike(weights, ended(moons(), home)[1])


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found"), "no C++ compiler"),
        (ValueError("a graph\nof two lines"), "it failed (ValueError: a graph)"),
    ],
)
def test_where_compiling_fails_the_run_goes_on_as_it_would(
    raised: Exception, told: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(model: nn.Module) -> Any:
        def call(*inputs: torch.Tensor) -> torch.Tensor:
            model(*inputs)  # with its random numbers and the batch norm's counts
            raise raised

        return call

    monkeypatch.setattr(compilation, "WORTH_S", 0.0)
    monkeypatch.setattr(compilation, "compiled", fails)
    said, weights, compiled = ended(moons(compile="auto"), home)
    assert told in said[0]
    assert compiled is False
    assert alike(weights, ended(moons(), home)[1])


@pytest.mark.parametrize("slower", [False, True])
def test_the_faster_way_is_kept(slower: bool, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def made(model: nn.Module) -> Any:
        def call(*inputs: torch.Tensor) -> Any:
            calls.append(1)
            if slower:
                time.sleep(0.01)
            return model(*inputs)

        return call

    monkeypatch.setattr(compilation, "WORTH_S", 0.0)
    monkeypatch.setattr(compilation, "MARGIN", 1.0 if slower else 100.0)
    monkeypatch.setattr(compilation, "compiled", made)
    said, weights, compiled = ended(moons(compile="auto", epochs=1), home)
    assert compiled is not slower
    assert ("is on" in said[0]) is not slower
    assert (len(calls) > compilation.TRIED + 2) is not slower
    assert alike(weights, ended(moons(epochs=1), home)[1])


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"monitor": "dice"}, "no metric 'dice' to monitor"),
        ({"class_weights": (1.0, 2.0, 3.0)}, "3 class weights, but the data has 2 classes"),
        ({"class_weights": (0.0, 0.0)}, "All class weights are 0"),
        ({"layer_rates": {"linear_9": 0.1}}, "set for linear_9"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(training: dict[str, Any], said: str, home: Path) -> None:
    with pytest.raises(TrainingError, match=said):
        loop(moons(**training), home)


def test_what_learns_in_turns_takes_whole_batches_in_float32() -> None:
    training = Training(objective="gan", accumulation=2, precision="bf16")
    assert len(preflight_problems(training, OBJECTIVES["gan"], None, [], "cpu")) == 2
    assert preflight_problems(Training(objective="gan"), OBJECTIVES["gan"], None, [], "cpu") == []


def test_documents_write_what_is_not_as_by_default() -> None:
    document = moons(average=0.99, layer_rates={"linear_1": 0.5}, class_weights=(1.0, 2.0), optimizer="muon")
    value = json.loads(dumps(document))["training"]
    assert value.keys() - FIRST_FIELDS == {"average", "layer_rates", "class_weights"}
    assert loads(dumps(document)) == document
    assert json.loads(dumps(moons()))["training"].keys() == FIRST_FIELDS
