"""Likelihoods of reconstructions and the evidence lower bound, against torch.distributions and closed forms."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributions

from netloom.compile import module
from netloom.compile.formula import network_of
from netloom.document import Project, Training, apply
from netloom.nn.generative import Reparameterize
from netloom.runs import TrainedRun
from netloom.runs.prediction.trained_run import evaluate
from netloom.templates import templates
from netloom.training import OBJECTIVES
from netloom.training.errors import TrainingError
from netloom.training.evaluation import compute_metrics
from netloom.training.objectives.reconstruction import Reconstruction, negative_log_likelihood
from netloom.validation import analyze
from tests.runs.examples import supervised
from tests.runs.test_resuming import check_resume_is_exact

GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "bernoulli"])
def test_negative_log_likelihood_is_that_of_torch(likelihood: str) -> None:
    output, target = torch.rand(5, 2, 3, generator=GENERATOR), torch.rand(5, 2, 3, generator=GENERATOR)
    if likelihood == "bernoulli":
        target = target.round()
    known: dict[str, distributions.Distribution] = {
        "gaussian": distributions.Normal(output, 0.3),
        "laplace": distributions.Laplace(output, 0.3),
        "bernoulli": distributions.Bernoulli(output),
    }
    expected = -known[likelihood].log_prob(target).sum((1, 2))
    torch.testing.assert_close(negative_log_likelihood(output, target, likelihood, 0.3), expected)


def test_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(2, 7, 4, generator=GENERATOR)
    posterior = distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(Reparameterize.divergence(mean, log_variance), expected)


def linear_vae(coefficient: float = 1.0) -> Project:
    text = f"""x = Input(shape=(3,))
mean = Linear(x, units=2)
log_variance = Linear(x, units=2)
z = Reparameterize(mean, log_variance, coefficient={coefficient})
return Linear(z, units=3)
"""
    return Project(name="Linear VAE", networks={"main": network_of(text)})


def objective_of(likelihood: str, scale: float) -> Reconstruction:
    objective = copy.copy(OBJECTIVES["reconstruction"])
    assert isinstance(objective, Reconstruction)
    objective.likelihood, objective.scale, objective.dimensions = likelihood, scale, 3
    return objective


def test_bound_of_a_linear_autoencoder_has_its_closed_form() -> None:
    """E over z ~ N(m, s²) of |x − W z − b|² is |x − W m − b|² + Σ s² |W_j|²."""
    torch.manual_seed(0)
    model: Any = module(linear_vae(coefficient=4.0))
    # The same rows in each order of the tests; the standard error of the mean is 0.3%.
    x, scale = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(1)), 0.7
    metrics = compute_metrics(model, objective_of("gaussian", scale), [x], x)
    with torch.no_grad():
        mean, variance = model.mean(x), model.log_variance(x).exp()
        center = model.linear_1(mean)
        spread = (variance * model.linear_1.weight.square().sum(0)).sum(1)
        square = (x - center).square().sum(1) + spread
        nll = (square / (2 * scale**2)).mean() + 3 * (math.log(scale) + 0.5 * math.log(2 * math.pi))
        kl = 0.5 * (mean.square() + variance - 1 - variance.log()).sum(1).mean()
    assert metrics["nll"] == pytest.approx(float(nll), rel=1e-2)
    assert metrics["kl"] == pytest.approx(float(kl), rel=1e-5)
    assert metrics["beta"] == pytest.approx(4.0)
    assert metrics["elbo"] == pytest.approx(-metrics["nll"] - metrics["kl"])
    assert metrics["loss"] == pytest.approx(metrics["nll"] + 4 * metrics["kl"])
    assert metrics["bits_per_dim"] == pytest.approx(-metrics["elbo"] / 3 / math.log(2))


def test_evaluation_samples_the_same_noise_each_time_and_leaves_the_model_alone() -> None:
    model, x = module(linear_vae()).eval(), torch.randn(600, 3, generator=GENERATOR)
    before, state = model(x), torch.get_rng_state()
    first, second = (compute_metrics(model, objective_of("laplace", 1.0), [x], x) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(model(x), before)  # the mean again, without a hook


def bernoulli_vae() -> Project:
    """The VAE of the templates with a Bernoulli likelihood, as its issues' fixes make it."""
    project = templates()["digits_vae"].project
    training = {"likelihood": "bernoulli", "epochs": 8, "monitor": "elbo", "device": "cpu"}
    project = apply(project, {"kind": "project", "training": training})
    project = apply(project, {"kind": "set", "node": "reparameterise_1", "params": {"coefficient": 1.0}})
    issues = [issue for issue in analyze(project).issues if issue.code == "likelihood"]
    assert [issue.severity for issue in issues] == ["error", "warning"]
    for issue in issues:
        assert issue.fix is not None
        project = apply(project, issue.fix.edit)
    assert not [issue for issue in analyze(project).issues if issue.code == "likelihood"]
    return project


def test_variational_autoencoder_with_binary_cross_entropy_trains_and_reports_its_bound(home: Path) -> None:
    project = bernoulli_vae()
    trainer = supervised(project, home)
    before = trainer.evaluate("validation")
    trainer.fit()
    after = trainer.evaluate("validation")
    assert list(after) == ["loss", "elbo", "bits_per_dim", "nll", "kl", "beta", "mae"]
    assert before["elbo"] + 8 < after["elbo"] < 0
    assert after["kl"] > 0.5
    assert after["bits_per_dim"] == pytest.approx(-after["elbo"] / 64 / math.log(2))
    assert trainer.titles["elbo"] == "ELBO (nats)"
    trained = TrainedRun(project, "", trainer.best_model(), trainer.data)
    metrics = evaluate(trained).metrics
    # As its interval, the error is that of reconstructions without sampling.
    target = trained.objective.target(trainer.data)[trainer.data.split["test"]]
    error = float((trained.output_of("test") - target).abs().mean())
    assert metrics["mae"] == pytest.approx(error, abs=1e-6)
    assert metrics["elbo"] == pytest.approx(after["elbo"], rel=0.15)
    assert {"mse", "explained"} <= set(metrics)


def test_bernoulli_likelihood_refuses_inputs_beyond_0_and_1(home: Path) -> None:
    project = apply(bernoulli_vae(), {"kind": "project", "data": {"prepare": "standardize"}})
    with pytest.raises(TrainingError, match="needs inputs between 0 and 1, but the prepared inputs range from"):
        supervised(project, home)


def test_scale_is_a_setting_only_where_the_likelihood_has_one() -> None:
    task = OBJECTIVES["reconstruction"].task
    assert task.read_settings(Training(likelihood="laplace")) == ("likelihood", "likelihood_scale")
    assert task.read_settings(Training(likelihood="bernoulli")) == ("likelihood",)
    assert task.read_settings(Training()) == ("likelihood", "regression_loss")


def test_resumed_run_of_a_likelihood_matches_uninterrupted_run(home: Path, tmp_path: Path) -> None:
    project = apply(bernoulli_vae(), {"kind": "project", "training": {"epochs": 2}})
    check_resume_is_exact(project, 30, home, tmp_path)
