"""The learning-rate finder: suggestions from curves with a known optimum, and for real networks."""

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
    """A loss that falls along a logistic curve around 10 ** `centre` and rises above a learning rate of 1."""
    rates = np.logspace(math.log10(LOWEST), 0.5, 120)
    logs = np.log10(rates)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (logs - centre))) + np.where(logs > 0, 10 * logs, 0)
    return Rates(rates.tolist(), losses.tolist(), done=True)


@pytest.mark.parametrize("centre", [-4.0, -3.0, -2.0])
def test_suggestion_is_at_the_steepest_descent(centre: float) -> None:
    rate = curve(centre).suggested
    assert rate is not None
    assert math.log10(rate) == pytest.approx(centre, abs=0.6)  # running means lag by half a power of ten
    assert math.log10(rate) >= centre - 0.1


def test_loss_that_never_falls_has_no_suggestion() -> None:
    rates = np.logspace(-6, 0, 100).tolist()
    random = np.random.default_rng(0)
    assert Rates(rates, (1 + 0.001 * random.standard_normal(100)).tolist(), done=True).suggested is None
    assert Rates(rates, np.linspace(1, 5, 100).tolist(), done=True).suggested is None
    assert Rates().suggested is None


@pytest.mark.parametrize("project", [digits_mlp(device="cpu"), moons()], ids=["digits", "moons"])
def test_suggested_rate_beats_distant_rates(project: Project, home: Path) -> None:
    suggested = find_rate(project, prepare(project.data, home)).suggested
    assert suggested is not None

    def loss_with(rate: float) -> float:
        training = project.training.model_copy(update={"learning_rate": rate, "epochs": 3})
        trainer = loop(project.model_copy(update={"training": training}), home)
        from netloom.training.trainer import Callback

        trainer.fit(Callback())
        return trainer.evaluate("validation")["loss"]

    assert loss_with(suggested) < loss_with(suggested / 100)
    assert loss_with(suggested) < loss_with(min(suggested * 100, 10.0))


def test_search_stops_when_the_loss_diverges(home: Path) -> None:
    project = templates()["diabetes"].project
    training = project.training.model_copy(update={"optimizer": "sgd", "schedule": "cosine", "epochs": 2})
    reported: list[float] = []
    search = find_rate(
        project.model_copy(update={"training": training}),
        prepare(project.data, home),
        lambda rate, _: reported.append(rate),
    )
    assert search.rates == reported
    assert search.rates[0] == LOWEST
    assert search.rates[-1] < HIGHEST
    assert np.allclose(np.diff(np.log10(search.rates)), math.log10(HIGHEST / LOWEST) / (lr_finder.STEPS - 1))
    assert search.suggested is not None


def test_refusal_names_missing_data() -> None:
    assert "Choose data" in lr_finder.refusal(chain(("Linear", {"units": 2}), training=Training()))
