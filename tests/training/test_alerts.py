"""Warnings in words: each is provoked by a small run that deserves it, and healthy runs are left in peace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netloom.document import DataChoice, Project, Training
from netloom.store import RunArtifacts
from netloom.store.run_summary import RunNotice
from netloom.training.diagnostics import MEASURES, Place, nan_tracer
from netloom.training.diagnostics.alerts import Adviser, Observations
from netloom.training.diagnostics.rules import REFUTED, RULES
from netloom.training.errors import DivergedError
from tests.networks import chain, digits_mlp
from tests.runs.examples import loop, moons, supervised
from tests.training.test_diagnostics import Watched

MOONS = ("Input", {"field": "features", "kind": "vector", "shape": [2]})


def told(project: Project, home: Path, folder: Path, data: Any = None) -> dict[str, RunNotice]:
    """The warnings of a run, by code."""
    made = loop(project, home)
    if data is not None:
        data(made)
    watch = Watched(project, made, folder)
    made.fit(watch)
    assert not (folder / "log.jsonl").exists(), (folder / "log.jsonl").read_text()
    return {notice["code"]: notice for notice in watch.observer.notices}


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
def test_healthy_runs_are_left_in_peace(project: Project, home: Path, tmp_path: Path) -> None:
    assert told(project, home, tmp_path) == {}


def test_vanishing_gradients(home: Path, tmp_path: Path) -> None:
    found = told(on_moons(*deep("Sigmoid", 8)), home, tmp_path)
    notice = found["vanishing_gradients"]
    assert notice["where"].startswith("Linear (linear_1)")
    assert notice["nodes"] == ["linear_1"]
    assert "ReLU" in notice["fix"]


def test_exploding_gradients(home: Path, tmp_path: Path) -> None:
    """A deep network of weights that are all twenty times too large: each layer makes the gradient longer."""

    def enlarge(made: Any) -> None:
        for weight in made.model.parameters():
            weight.data *= 20

    project = on_moons(*deep("ReLU", 6), epochs=1, learning_rate=1e-6)
    notice = told(project, home, tmp_path, enlarge)["exploding_gradients"]
    assert "Clip the gradient" in notice["fix"]
    assert notice["nodes"]
    clipped = project.model_copy(update={"training": project.training.model_copy(update={"gradient_clip": 1.0})})
    assert "exploding_gradients" not in told(clipped, home, tmp_path, enlarge)


def test_dead_units(home: Path, tmp_path: Path) -> None:
    def silence(made: Any) -> None:
        made.model.get_submodule("linear_1").bias.data[:12] = -100.0

    notice = told(on_moons(("Linear", {"units": 16}), ("ReLU", {})), home, tmp_path, silence)["dead_units"]
    assert "of the units of ReLU (relu_1) are 0 for every row" in notice["message"]
    assert 75 <= int(notice["message"].partition("%")[0]) < 100
    assert notice["nodes"] == ["relu_1"]


def test_learning_rate_too_high(home: Path, tmp_path: Path) -> None:
    found = told(on_moons(*deep("ReLU", 2), learning_rate=10.0, epochs=6), home, tmp_path)
    assert "from 10 to 1" in found["learning_rate_high"]["fix"]


def seen(losses: list[float], train: list[float], dead: float = 0.0) -> Observations:
    """What is known of a run whose rules are asked for the first time near its end; its steps are tiny by now."""
    layers = [Place("linear_1", ("linear_1",), "Linear", "Linear", "linear_1")]
    layers += [Place("relu_1", ("relu_1",), "ReLU", "ReLU", "relu_1")]
    sample = np.full((2, len(MEASURES)), np.nan)
    sample[0, :3] = 1e-9, 1.0, 1e-6
    sample[1, MEASURES.index("dead")] = dead
    known = Observations(
        Training(learning_rate=1.0), layers, [32, 0], [True, False], 64, losses=losses, train=train, step=500
    )
    known.samples.extend([sample] * 5)
    return known


def test_a_loss_that_jumped_and_never_came_back_is_no_rate_that_is_too_low() -> None:
    """Rules are asked now and then. In a short run that is after the jump, when the rectifiers are dead already."""
    known = seen([0.7, 9_936.0, 4_867.0, 40.0, 0.9, 0.71, 0.71], [1_820.0] + [0.71] * 12)
    found = RULES["learning_rate_high"](known)
    assert found is not None
    assert "jumped to 9.94e+03; before training it was 0.7" in found.message
    assert RULES["learning_rate_low"](known) is None
    known.is_pretrained = True  # the first loss is no measure of what knowing nothing costs
    assert RULES["learning_rate_high"](known) is None
    known.is_pretrained = False
    known.losses = [0.7] * 7
    known.train = [0.7] * 13
    assert RULES["learning_rate_low"](known) is not None
    known.learning_rate = 0.02  # was set while the run went on
    found = RULES["learning_rate_low"](known)
    assert found is not None
    assert "from 0.02 to 0.2" in found.fix
    known.losses = [0.7, 1.6, 1.5, 0.1, 0.05]  # it found its way: nothing that anybody has to do
    assert RULES["learning_rate_high"](known) is None


def test_where_units_are_dead_nothing_else_is_blamed() -> None:
    known = seen([0.7] * 7, [0.71] * 13, dead=0.9)
    assert {code for code, rule in RULES.items() if rule(known) is not None} == {"dead_units"}


def test_a_gradient_that_exploded_between_two_looks_of_the_rules() -> None:
    known = seen([0.7] * 3, [0.7])
    known.samples.clear()
    for length in (1.0, 1.2, 0.9, 1.1, 1.0, 400.0, 900.0, 0.0, 0.0, 0.0):
        sample = np.full((2, len(MEASURES)), np.nan)
        sample[0, 0] = length
        known.samples.append(sample)
    found = RULES["exploding_gradients"](known)
    assert found is not None
    assert "rose to 900, 900 times its usual value" in found.message


def test_learning_rate_too_low(home: Path, tmp_path: Path) -> None:
    found = told(on_moons(*deep("ReLU", 2), learning_rate=1e-7, epochs=3), home, tmp_path)
    assert set(found) == {"learning_rate_low"}
    assert "from 1e-07 to 1e-06" in found["learning_rate_low"]["fix"]


def test_overfitting(home: Path, tmp_path: Path) -> None:
    """A wide network learns forty rows whose labels are drawn by lot."""

    def few(made: Any) -> None:
        dice = torch.Generator().manual_seed(0)
        loader = made.loader
        for _, target in (loader.train, loader.validation):
            target.copy_(torch.randint(0, 2, target.shape, generator=dice))
        inputs, target = loader.train
        loader.train = [value[:40] for value in inputs], target[:40]
        loader.rows = loader.batch_size = made.batch_size = 40

    project = on_moons(("Linear", {"units": 256}), ("ReLU", {}), epochs=60, learning_rate=0.02)
    notice = told(project, home, tmp_path, few)["overfitting"]
    assert "overfitting" in notice["message"]


def test_overfitting_is_taken_back_where_the_loss_falls_to_its_least_after_all() -> None:
    """As it does under a learning rate that falls at last, and stands where the loss does not."""
    codes = []
    for end in (0.5, 0.9):
        seen = Observations(Training(), [], [], [], 8)
        adviser = Adviser(RULES, seen, [], 1e9, REFUTED)
        for epoch, loss in enumerate([1.0, 0.7, 0.8, 0.8, 0.9, end]):
            seen.train.append(1 - epoch / 10)
            seen.validation.append(loss)
            seen.step, seen.epoch = epoch * 10, epoch
            adviser.look(now=True)
            if epoch == 4:
                assert [notice.code for notice in adviser.notices] == ["overfitting"]
        codes.append([notice.code for notice in adviser.notices])
    assert codes == [[], ["overfitting"]]


def test_underfitting(home: Path, tmp_path: Path) -> None:
    """Labels that have nothing to do with the inputs, and a network that is too small to learn them overfitting."""

    def lot(made: Any) -> None:
        dice = torch.Generator().manual_seed(0)
        target = made.loader.train[1]
        target.copy_(torch.randint(0, 2, target.shape, generator=dice))

    assert "underfitting" in told(on_moons(epochs=14, learning_rate=0.02), home, tmp_path, lot)


def test_class_imbalance(home: Path, tmp_path: Path) -> None:
    project = digits_mlp(epochs=1, device="cpu")
    made = loop(project, home)
    made.data = replace(made.data, target=made.data.target.clone())  # other tests of this process read the same digits
    rows = made.data.split["train"]
    nines = rows[made.data.target[rows] == 9]
    made.data.target[nines[:-5]] = 0
    watch = Watched(project, made, tmp_path)
    (notice,) = watch.observer.notices
    assert notice["code"] == "class_imbalance"
    assert "5 are '9'" in notice["message"]


def test_every_rule_is_provoked_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{code}"' in text for code in RULES)


def find(project: Project, home: Path, folder: Path, change: Any = None) -> nan_tracer.NonFinite | None:
    """Let a run diverge, and look for who did it."""

    def again() -> Any:
        made = loop(project, home)
        if change is not None:
            change(made)
        return made

    with pytest.raises(DivergedError):
        again().fit(Watched(project, again(), folder))
    return nan_tracer.trace_nan(project, RunArtifacts.in_directory(folder), again)


def test_the_layer_that_gave_the_first_number_that_is_none(home: Path, tmp_path: Path) -> None:
    """The logarithm of what a linear layer gives is NaN wherever that is below 0, in the first batch already."""
    project = on_moons(("Linear", {"units": 4}), ("Function", {"function": "log"}), ("ReLU", {}))
    found = find(project, home, tmp_path)
    assert found is not None
    assert found.place is not None
    assert (found.kind, found.place.path, found.batch, found.epoch, found.step) == ("answer", "function_1", 1, 1, 1)
    assert found.value == "NaN"
    notice = found.notice()
    assert notice.fix.startswith("This happened in the first step")  # no learning rate would help
    assert notice.nodes == ("function_1",)
    assert "batch 1 of epoch 1" in notice.message


def test_a_batch_that_holds_no_number(home: Path, tmp_path: Path) -> None:
    def spoil(made: Any) -> None:
        made.loader.train[0][0][17, 0] = float("inf")

    found = find(on_moons(*deep("ReLU", 1)), home, tmp_path, spoil)
    assert found is not None
    assert (found.kind, found.place, found.value) == ("data", None, "infinity")
    order = torch.randperm(found_rows(home), generator=torch.Generator().manual_seed(0)).tolist()
    assert found.batch == order.index(17) // 64 + 1


def found_rows(home: Path) -> int:
    return supervised(on_moons(), home).loader.rows


def test_a_run_that_diverges_later_is_repeated_from_its_start(home: Path, tmp_path: Path) -> None:
    project = on_moons(*deep("ReLU", 3), optimizer="sgd", learning_rate=10.0, epochs=50, weight_decay=1.0)
    found = find(project, home, tmp_path)
    assert found is not None
    assert found.step > 1
