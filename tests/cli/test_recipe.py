"""Settings of a recipe on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.cli.training_options import with_settings
from netloom.document import Training, write
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from tests.cli.conftest import Console
from tests.runs.examples import moons


def test_names_say_where_a_value_belongs() -> None:
    given = ["momentum=0.8", "nesterov=true", "optimizer=sgd", "schedule=step", "every=3", "drop=0.5", "warmup=0.1"]
    given += ["class_weights=1,3", "layer_rates.linear_1=0.1", "gradient_clip=none", "average=0.99", "compile=off"]
    made = with_settings(Training(gradient_clip=1.0), given)
    assert made == Training(
        optimizer="sgd",
        optimizer_settings={"momentum": 0.8, "nesterov": True},
        schedule="step",
        schedule_settings={"every": 3, "drop": 0.5},
        warmup=0.1,
        class_weights=(1.0, 3.0),
        layer_rates={"linear_1": 0.1},
        average=0.99,
    )
    assert with_settings(made, ["layer_rates.linear_1=none", "class_weights=balanced"]).class_weights == "balanced"
    assert with_settings(made, []) is made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("optimizer", "written NAME=VALUE"),
        ("momentum=0.5", "the optimizer adam has beta1, beta2, epsilon, amsgrad"),
        ("optimizer=magic", "there is no 'magic'"),
        ("epochs=-1", "epochs"),
        ("beta1=high", "beta1"),
        ("agent=1", "no setting 'agent'"),
    ],
)
def test_what_cannot_be_set_is_said(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_settings(Training(), [given])


def test_no_name_belongs_to_two() -> None:
    """To the document's own fields, to optimizers, or to schedules: `--set` needs no more than the name."""
    of = [{name for choice in choices.values() for name in choice.settings} for choices in (OPTIMIZERS, SCHEDULES)]
    assert not of[0] & of[1]
    assert not (of[0] | of[1]) & set(Training.model_fields)


def test_a_run_with_settings(console: Console, tmp_path: Path) -> None:
    document = tmp_path / "moons.json"
    write(document, moons(epochs=1))
    settings = ["--set", "optimizer=muon", "--set", "average=0.9", "--set", "keep=last", "--set", "accumulation=2"]
    done = console("train", document, *settings, "--json", "--home", tmp_path / "home")
    assert done.code == 0, done.err
    folder = Path(done.value["folder"])
    frozen = json.loads((folder / "project.json").read_text())["training"]
    assert {name: frozen[name] for name in ("optimizer", "average", "keep", "accumulation")} == {
        "optimizer": "muon",
        "average": 0.9,
        "keep": "last",
        "accumulation": 2,
    }
    told = json.loads((folder / "evaluation.json").read_text())["metrics"]
    again = console("evaluate", done.value["run"], "--json", "--home", tmp_path / "home")
    assert again.value["metrics"]["loss"] == pytest.approx(told["loss"], rel=1e-6)


def test_settings_are_listed(console: Console) -> None:
    done = console("train", "--settings", "--json")
    names = {row["name"] for row in done.value}
    assert {"momentum", "warmup", "label_smoothing", "every"} <= names
    assert "start" not in names
    assert console("train").code == 2
