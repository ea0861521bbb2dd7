"""Training alerts: a small run triggers each of them, and healthy runs trigger none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.document import DataChoice, Project, Training, apply
from netloom.document.initialization import Initialization
from netloom.store import RunArtifacts
from netloom.store.run_summary import RunNotice
from netloom.templates import templates
from netloom.training.diagnostics import MEASURES, LayerModule, nan_tracer
from netloom.training.diagnostics.alerts import Adviser, Observations
from netloom.training.diagnostics.initial_loss import initial_loss_notice
from netloom.training.diagnostics.rules import REFUTED, RULES
from netloom.training.errors import DivergedError
from tests.networks import chain, digits_mlp
from tests.runs.examples import loop, moons, supervised
from tests.training.test_diagnostics import Watched

MOONS = ("Input", {"field": "features", "kind": "vector", "shape": [2]})


def notices_of(project: Project, home: Path, folder: Path, modify: Any = None) -> dict[str, RunNotice]:
    """The alerts of a run, by code."""
    trainer = loop(project, home)
    if modify is not None:
        modify(trainer)
    callback = Watched(project, trainer, folder)
    trainer.fit(callback)
    assert not (folder / "log.jsonl").exists(), (folder / "log.jsonl").read_text()
    return {notice.code: notice for notice in callback.observer.notices}


def on_moons(*layers: tuple[str, dict[str, Any]], **training: Any) -> Project:
    settings = {"epochs": 4, "batch_size": 64, "learning_rate": 0.01, "device": "cpu", **training}
    return chain(
        MOONS, *layers, ("Linear", {"units": 2}), data=DataChoice(dataset="moons"), training=Training(**settings)
    )


def deep(kind: str, times: int) -> list[tuple[str, dict[str, Any]]]:
    return [layer for _ in range(times) for layer in (("Linear", {"units": 16}), (kind, {}))]


@pytest.mark.parametrize(
    "project",
    [
        moons(epochs=8),
        moons(epochs=5, optimizer="sgd", learning_rate=0.1),
        digits_mlp(epochs=6, device="cpu"),
        on_moons(*deep("ReLU", 3), epochs=8, learning_rate=3e-3),
        on_moons(*deep("Tanh", 2), epochs=8, learning_rate=3e-3),
    ],
    ids=["moons", "sgd", "digits", "relu", "tanh"],
)
def test_healthy_runs_get_no_alerts(project: Project, home: Path, tmp_path: Path) -> None:
    assert notices_of(project, home, tmp_path) == {}


def test_vanishing_gradients_alert(home: Path, tmp_path: Path) -> None:
    notices = notices_of(on_moons(*deep("Sigmoid", 8)), home, tmp_path)
    notice = notices["vanishing_gradients"]
    assert notice.where.startswith("Linear (linear_1)")
    assert notice.nodes == ("linear_1",)
    assert "ReLU" in notice.fix


def test_exploding_gradients_alert(home: Path, tmp_path: Path) -> None:
    """A deep network whose weights are twenty times too large: each layer scales up the gradient."""

    def enlarge(trainer: Any) -> None:
        for weight in trainer.model.parameters():
            weight.data *= 20

    project = on_moons(*deep("ReLU", 6), epochs=1, learning_rate=1e-6)
    notice = notices_of(project, home, tmp_path, enlarge)["exploding_gradients"]
    assert "Clip the gradient" in notice.fix
    assert notice.nodes
    clipped = project.model_copy(update={"training": project.training.model_copy(update={"gradient_clip": 1.0})})
    assert "exploding_gradients" not in notices_of(clipped, home, tmp_path, enlarge)


def test_dead_units_alert(home: Path, tmp_path: Path) -> None:
    def silence(trainer: Any) -> None:
        trainer.model.get_submodule("linear_1").bias.data[:12] = -100.0

    notice = notices_of(on_moons(("Linear", {"units": 16}), ("ReLU", {})), home, tmp_path, silence)["dead_units"]
    assert "of the units of ReLU (relu_1) are 0 for every row" in notice.message
    assert 75 <= int(notice.message.partition("%")[0]) < 100
    assert notice.nodes == ("relu_1",)


def test_learning_rate_too_high_alert(home: Path, tmp_path: Path) -> None:
    notices = notices_of(on_moons(*deep("ReLU", 2), learning_rate=10.0, epochs=6), home, tmp_path)
    assert "from 10 to 1" in notices["learning_rate_high"].fix


def observations(losses: list[float], train: list[float], dead: float = 0.0) -> Observations:
    """Observations of a run whose rules are first checked near its end, when its updates are tiny."""
    layers = [LayerModule("linear_1", ("linear_1",), "Linear", "Linear", "linear_1")]
    layers += [LayerModule("relu_1", ("relu_1",), "ReLU", "ReLU", "relu_1")]
    sample = np.full((2, len(MEASURES)), np.nan)
    sample[0, :3] = 1e-9, 1.0, 1e-6
    sample[1, MEASURES.index("dead")] = dead
    result = Observations(
        Training(learning_rate=1.0), layers, [32, 0], [True, False], 64, losses=losses, train=train, step=500
    )
    result.samples.extend([sample] * 5)
    return result


def test_loss_jump_means_high_learning_rate_not_low() -> None:
    """Rules are checked periodically. In a short run, that is after the jump, when the ReLUs are already dead."""
    observed = observations([0.7, 9_936.0, 4_867.0, 40.0, 0.9, 0.71, 0.71], [1_820.0] + [0.71] * 12)
    notice = RULES["learning_rate_high"](observed)
    assert notice is not None
    assert "jumped to 9.94e+03; before training it was 0.7" in notice.message
    assert RULES["learning_rate_low"](observed) is None
    observed.is_pretrained = True  # the first loss is not the loss of an untrained network
    assert RULES["learning_rate_high"](observed) is None
    observed.is_pretrained = False
    observed.losses = [0.7] * 7
    observed.train = [0.7] * 13
    assert RULES["learning_rate_low"](observed) is not None
    observed.learning_rate = 0.02  # changed during the run
    notice = RULES["learning_rate_low"](observed)
    assert notice is not None
    assert "from 0.02 to 0.2" in notice.fix
    observed.losses = [0.7, 1.6, 1.5, 0.1, 0.05]  # the loss recovered: no action needed
    assert RULES["learning_rate_high"](observed) is None


def test_dead_units_suppress_other_alerts() -> None:
    observed = observations([0.7] * 7, [0.71] * 13, dead=0.9)
    assert {code for code, rule in RULES.items() if rule(observed) is not None} == {"dead_units"}


def test_gradient_explosion_between_checks_is_detected() -> None:
    observed = observations([0.7] * 3, [0.7])
    observed.samples.clear()
    for length in (1.0, 1.2, 0.9, 1.1, 1.0, 400.0, 900.0, 0.0, 0.0, 0.0):
        sample = np.full((2, len(MEASURES)), np.nan)
        sample[0, 0] = length
        observed.samples.append(sample)
    notice = RULES["exploding_gradients"](observed)
    assert notice is not None
    assert "rose to 900, 900 times its usual value" in notice.message


def test_learning_rate_too_low_alert(home: Path, tmp_path: Path) -> None:
    notices = notices_of(on_moons(*deep("ReLU", 2), learning_rate=1e-7, epochs=3), home, tmp_path)
    assert set(notices) == {"learning_rate_low"}
    assert "from 1e-07 to 1e-06" in notices["learning_rate_low"].fix


def test_overfitting_alert(home: Path, tmp_path: Path) -> None:
    """A wide network learns forty rows with random labels."""

    def forty_random_rows(trainer: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        loader = trainer.loader
        for _, target in (loader.train, loader.validation):
            target.copy_(torch.randint(0, 2, target.shape, generator=generator))
        inputs, target = loader.train
        loader.train = [value[:40] for value in inputs], target[:40]
        loader.rows = loader.batch_size = trainer.batch_size = 40

    project = on_moons(("Linear", {"units": 256}), ("ReLU", {}), epochs=60, learning_rate=0.02)
    notice = notices_of(project, home, tmp_path, forty_random_rows)["overfitting"]
    assert "overfitting" in notice.message


def test_overfitting_alert_is_withdrawn_at_new_minimum() -> None:
    """The alert stays if the loss does not reach a new minimum."""
    codes = []
    for end in (0.5, 0.9):
        observed = Observations(Training(), [], [], [], 8)
        adviser = Adviser(RULES, observed, [], 1e9, REFUTED)
        for epoch, loss in enumerate([1.0, 0.7, 0.8, 0.8, 0.9, end]):
            observed.train.append(1 - epoch / 10)
            observed.validation.append(loss)
            observed.step, observed.epoch = epoch * 10, epoch
            adviser.check(immediately=True)
            if epoch == 4:
                assert [notice.code for notice in adviser.notices] == ["overfitting"]
        codes.append([notice.code for notice in adviser.notices])
    assert codes == [[], ["overfitting"]]


def test_underfitting_alert(home: Path, tmp_path: Path) -> None:
    """Random labels, and a network that is too small to memorize them."""

    def randomize_labels(trainer: Any) -> None:
        generator = torch.Generator().manual_seed(0)
        target = trainer.loader.train[1]
        target.copy_(torch.randint(0, 2, target.shape, generator=generator))

    assert "underfitting" in notices_of(on_moons(epochs=14, learning_rate=0.02), home, tmp_path, randomize_labels)


def test_class_imbalance_alert(home: Path, tmp_path: Path) -> None:
    project = digits_mlp(epochs=1, device="cpu")
    trainer = loop(project, home)
    trainer.data = replace(
        trainer.data, target=trainer.data.target.clone()
    )  # other tests in this process share the digits
    rows = trainer.data.split["train"]
    nines = rows[trainer.data.target[rows] == 9]
    trainer.data.target[nines[:-5]] = 0
    callback = Watched(project, trainer, tmp_path)
    (notice,) = callback.observer.notices
    assert notice.code == "class_imbalance"
    assert "5 are '9'" in notice.message


def test_every_alert_rule_is_tested() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{code}"' in text for code in RULES)


def find_nan_cause(project: Project, home: Path, folder: Path, change: Any = None) -> nan_tracer.NonFinite | None:
    """Let a run diverge, and trace the cause."""

    def new_trainer() -> Any:
        trainer = loop(project, home)
        if change is not None:
            change(trainer)
        return trainer

    trainer = new_trainer()
    with pytest.raises(DivergedError):
        trainer.fit(Watched(project, trainer, folder))
    return nan_tracer.trace_nan(project, RunArtifacts.in_directory(folder), new_trainer)


def test_nan_tracer_finds_the_first_nan_layer(home: Path, tmp_path: Path) -> None:
    """The logarithm of the linear outputs is NaN wherever they are negative, already in the first batch."""
    project = on_moons(("Linear", {"units": 4}), ("Function", {"function": "log"}), ("ReLU", {}))
    cause = find_nan_cause(project, home, tmp_path)
    assert cause is not None
    assert cause.layer is not None
    assert (cause.kind, cause.layer.path, cause.batch, cause.epoch, cause.step) == ("answer", "function_1", 1, 1, 1)
    assert cause.value == "NaN"
    notice = cause.notice()
    assert notice.fix.startswith("This happened in the first step")  # a lower learning rate would not help
    assert notice.nodes == ("function_1",)
    assert "batch 1 of epoch 1" in notice.message


def test_nan_tracer_finds_the_batch_with_infinity(home: Path, tmp_path: Path) -> None:
    def spoil(trainer: Any) -> None:
        trainer.loader.train[0][0][17, 0] = float("inf")

    cause = find_nan_cause(on_moons(*deep("ReLU", 1)), home, tmp_path, spoil)
    assert cause is not None
    assert (cause.kind, cause.layer, cause.value) == ("data", None, "infinity")
    order = torch.randperm(training_row_count(home), generator=torch.Generator().manual_seed(0)).tolist()
    assert cause.batch == order.index(17) // 64 + 1


def training_row_count(home: Path) -> int:
    return supervised(on_moons(), home).loader.rows


def test_nan_tracer_repeats_a_later_divergence(home: Path, tmp_path: Path) -> None:
    project = on_moons(*deep("ReLU", 3), optimizer="sgd", learning_rate=10.0, epochs=50, weight_decay=1.0)
    cause = find_nan_cause(project, home, tmp_path)
    assert cause is not None
    assert cause.step > 1


def tied(width: int) -> Project:
    """A language model on the tales whose head shares the weights of its embedding."""
    template = templates()["tales_gpt"].project
    for edit in (
        {"kind": "update", "node": "linear_1", "shares": "embedding_1"},
        {"kind": "set", "node": "embedding_1", "params": {"dim": width}},
        {"kind": "project", "training": {"epochs": 1, "device": "cpu"}},
    ):
        template = apply(template, edit)
    return template


def test_initial_loss_far_above_a_guess_names_the_layer_and_the_fix(home: Path) -> None:
    project = tied(64)
    notice = initial_loss_notice(project, supervised(project, home))
    assert notice is not None
    assert "a guess has 4.03" in notice.message  # ln 56
    assert notice.nodes == ("linear_1",)
    assert "set the initialization of embedding_1 to normal with standard deviation 0.02" in notice.fix
    suggested = notice.as_reported().edit
    assert suggested is not None
    fixed = apply(project, suggested.edit)
    assert fixed.initialization("main", "embedding_1") == Initialization(method="normal", std=0.02)
    assert initial_loss_notice(fixed, supervised(fixed, home)) is None


def test_initial_loss_of_a_wide_initialization_is_fixed_by_its_edit(home: Path) -> None:
    project = digits_mlp(epochs=1, device="cpu")
    wide = {"method": "normal", "std": 3.0}
    project = apply(project, {"kind": "update", "node": "linear_2", "initialization": wide})
    notice = initial_loss_notice(project, supervised(project, home))
    assert notice is not None
    assert notice.nodes == ("linear_2",)
    assert notice.edit is not None
    fixed = apply(project, notice.edit.edit)
    assert initial_loss_notice(fixed, supervised(fixed, home)) is None


def test_initial_loss_of_large_inputs_names_the_inputs(home: Path) -> None:
    project = digits_mlp(epochs=1, device="cpu")
    trainer = supervised(project, home)
    trainer.loader.train[0][0].mul_(1000)
    notice = initial_loss_notice(project, trainer)
    assert notice is not None
    assert "The inputs are large" in notice.message


def test_initial_loss_is_checked_once_without_a_trace_in_the_run(home: Path, tmp_path: Path) -> None:
    project = templates()["digits_cnn"].project  # with batch norm and dropout
    trainer = supervised(project, home)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    state = torch.get_rng_state()
    assert initial_loss_notice(project, trainer) is None
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    project = tied(64)
    trainer = supervised(project, home)
    callback = Watched(project, trainer, tmp_path, stop_at=1)
    trainer.fit(callback)
    assert [notice.code for notice in callback.observer.notices] == ["initial_loss"]
