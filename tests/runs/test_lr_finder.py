"""The learning-rate finder: what it reads from curves with a known answer, and what it finds for real networks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from netloom.data import prepare
from netloom.document import Project, Training
from netloom.runs import lr_finder
from netloom.runs.lr_finder import HIGHEST, LOWEST, Rates, find_rate
from netloom.templates import templates
from tests.networks import chain, digits_mlp
from tests.runs.examples import loop, moons


def curve(centre: float) -> Rates:
    """A loss that falls along a logistic curve around 10 ** `centre` and rises from 1 on."""
    rates = np.logspace(math.log10(LOWEST), 0.5, 120)
    logs = np.log10(rates)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (logs - centre))) + np.where(logs > 0, 10 * logs, 0)
    return Rates(rates.tolist(), losses.tolist(), done=True)


@pytest.mark.parametrize("centre", [-4.0, -3.0, -2.0])
def test_the_steepest_descent_of_a_known_curve(centre: float) -> None:
    found = curve(centre).suggested
    assert found is not None
    assert math.log10(found) == pytest.approx(centre, abs=0.6)  # running means lag behind by half a power of ten
    assert math.log10(found) >= centre - 0.1


def test_a_loss_that_never_falls_has_no_best_rate() -> None:
    rates = np.logspace(-6, 0, 100).tolist()
    dice = np.random.default_rng(0)
    assert Rates(rates, (1 + 0.001 * dice.standard_normal(100)).tolist(), done=True).suggested is None
    assert Rates(rates, np.linspace(1, 5, 100).tolist(), done=True).suggested is None
    assert Rates().suggested is None


@pytest.mark.parametrize("project", [digits_mlp(device="cpu"), moons()], ids=["digits", "moons"])
def test_what_is_found_trains_better_than_what_is_far_from_it(project: Project, home: Path) -> None:
    found = find_rate(project, prepare(project.data, home)).suggested
    assert found is not None

    def after(rate: float) -> float:
        training = project.training.model_copy(update={"learning_rate": rate, "epochs": 3})
        made = loop(project.model_copy(update={"training": training}), home)
        from netloom.training.trainer import Callback

        made.fit(Callback())
        return made.evaluate("validation")["loss"]

    assert after(found) < after(found / 100)
    assert after(found) < after(min(found * 100, 10.0))


def test_it_ends_where_the_loss_is_thrown_up(home: Path) -> None:
    project = templates()["diabetes"].project
    training = project.training.model_copy(update={"optimizer": "sgd", "schedule": "cosine", "epochs": 2})
    told: list[float] = []
    found = find_rate(
        project.model_copy(update={"training": training}),
        prepare(project.data, home),
        lambda rate, _: told.append(rate),
    )
    assert found.rates == told
    assert found.rates[0] == LOWEST
    assert found.rates[-1] < HIGHEST
    assert np.allclose(np.diff(np.log10(found.rates)), math.log10(HIGHEST / LOWEST) / (lr_finder.STEPS - 1))
    assert found.suggested is not None


def test_what_cannot_be_tried_says_why() -> None:
    assert "Choose data" in lr_finder.refusal(chain(("Linear", {"units": 2}), training=Training()))
