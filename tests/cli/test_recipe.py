"""Training settings on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.cli.training_options import with_settings
from netloom.document import Training, write
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.document.rl_settings import Agent
from tests.cli.conftest import Console
from tests.runs.examples import moons


def test_setting_names_are_resolved_to_their_fields() -> None:
    assignments = [
        "momentum=0.8",
        "nesterov=true",
        "optimizer=sgd",
        "schedule=step",
        "step_size=3",
        "gamma=0.5",
        "warmup=0.1",
    ]
    assignments += [
        "class_weights=1,3",
        "layer_lr_multipliers.linear_1=0.1",
        "gradient_clip=none",
        "ema_decay=0.99",
        "compile=off",
    ]
    training = with_settings(Training(gradient_clip=1.0), assignments)
    assert training == Training(
        optimizer="sgd",
        optimizer_settings={"momentum": 0.8, "nesterov": True},
        schedule="step",
        schedule_settings={"step_size": 3, "gamma": 0.5},
        warmup=0.1,
        class_weights=(1.0, 3.0),
        layer_lr_multipliers={"linear_1": 0.1},
        ema_decay=0.99,
    )
    assert (
        with_settings(training, ["layer_lr_multipliers.linear_1=none", "class_weights=balanced"]).class_weights
        == "balanced"
    )
    assert with_settings(training, []) is training
    both = with_settings(Training(), ["optimizer=asgd", "schedule=polynomial", "power=0.5"])
    assert (both.optimizer_settings, both.schedule_settings) == ({}, {"power": 0.5})
    likely = with_settings(training, ["objective=reconstruction", "likelihood=laplace"])
    assert (likely.likelihood, with_settings(likely, ["likelihood=none"]).likelihood) == ("laplace", "none")
    assert with_settings(likely, ["objective=classification", "likelihood=none"]).likelihood == "none"
    # The path in a document, as error messages write it
    assert with_settings(Training(), ["training.epochs=5", "training.beta1=0.8"]) == with_settings(
        Training(), ["epochs=5", "beta1=0.8"]
    )
    agent = with_settings(Training(), ["discount=0.9", "objective=ppo", "training.agent.rollout_steps=64"]).agent
    assert agent == Agent(discount=0.9, rollout_steps=64)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer", "written NAME=VALUE"),
        ("momentum=0.5", "the optimizer adam has beta1, beta2, epsilon, amsgrad"),
        ("optimizer=magic", "there is no 'magic'; choose one of adam, adamw"),
        ("optimizer=adamm", "there is no 'adamm'; did you mean 'adam'"),
        ("schedule=cosin", "did you mean 'cosine'"),
        ("epochs=-1", "epochs"),
        ("beta1=high", "beta1"),
        ("agent=1", "no setting 'agent'"),
        ("epoch=5", "no setting 'epoch'; did you mean 'epochs'"),
        ("training.epoch=5", "did you mean 'epochs'"),
        ("beta_1=0.5", "did you mean 'beta1'"),
        ("agent.gamma=0.5", "no setting 'agent.gamma'; did you mean 'gamma'"),  # of the schedule
        ("discount=0.9", "discount is a setting of agents and has no effect on the objective classification"),
    ],
)
def test_invalid_settings_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_settings(Training(schedule="step"), [setting])


def test_setting_names_are_unique() -> None:
    """Among the fields of the document, agents, optimizers and schedules: `--set` needs only the name."""
    names = [{name for choice in choices.values() for name in choice.settings} for choices in (OPTIMIZERS, SCHEDULES)]
    assert not names[0] & names[1]
    assert not (names[0] | names[1]) & set(Training.model_fields)
    assert not (names[0] | names[1] | set(Training.model_fields)) & set(Agent.model_fields)


@pytest.mark.usefixtures("_training_here")
def test_settings_apply_to_the_run(console: Console, tmp_path: Path) -> None:
    document = tmp_path / "moons.json"
    write(document, moons(epochs=1))
    settings = ("optimizer=muon", "ema_decay=0.9", "checkpoint=last", "gradient_accumulation_steps=2")
    trained = console("train", document, *(f"--set={text}" for text in settings), "--json", "--home", tmp_path / "home")
    assert trained.code == 0, trained.err
    folder = Path(trained.value["folder"])
    frozen = json.loads((folder / "project.json").read_text())["training"]
    assert {name: frozen[name] for name in ("optimizer", "ema_decay", "checkpoint", "gradient_accumulation_steps")} == {
        "optimizer": "muon",
        "ema_decay": 0.9,
        "checkpoint": "last",
        "gradient_accumulation_steps": 2,
    }
    stored = json.loads((folder / "evaluation.json").read_text())["metrics"]
    evaluated = console("evaluate", trained.value["run"], "--json", "--home", tmp_path / "home")
    assert evaluated.value["metrics"]["loss"] == pytest.approx(stored["loss"], rel=1e-6)


def test_settings_are_listed(console: Console) -> None:
    listed = console("train", "--settings", "--json")
    names = {row["name"] for row in listed.value}
    assert {"momentum", "warmup", "label_smoothing", "step_size", "discount"} <= names
    assert "initial_weights" not in names
    assert console("train").code == 2
