"""Settings by the names that they had in earlier versions: in documents, in sweeps and on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.cli.filters import known_column
from netloom.cli.training_options import with_settings
from netloom.compile.formula import network_of
from netloom.data.uploads.upload_meta import read_meta
from netloom.document import Augment, Training, apply, dumps, loads
from netloom.document.former_names import FORMER_SETTINGS, FORMER_TASKS, present_path
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.runs.history.setting_titles import setting_title
from netloom.runs.search.search_space import assign, check_space, value_of
from netloom.store.run_summary import RunSummary
from netloom.tasks import task, tasks
from tests.runs.examples import moons

# A value of each setting that is not its default
VALUES: dict[str, dict[str, Any]] = {
    "data.options": {"grey": True},
    "training": {
        "average": 0.9,
        "accumulation": 2,
        "keep": "last",
        "layer_rates": {"linear_1": 0.5},
        "layer_rate_decay": 0.5,
        "start": f"weights:{64 * 'a'}",
        "teacher_share": 0.5,
        "neighbours": 3,
        "liked_from": 3.5,
    },
    "training.agent": {
        "trials": 3,
        "warm_up": 500,
        "learn_every": 2,
        "updates": 3,
        "target_every": 100,
        "epsilon_share": 0.5,
        "rollout": 64,
        "passes": 3,
        "clip": 0.1,
        "trace": 0.9,
        "entropy": 0.05,
        "epoch_steps": 300,
    },
    "training.optimizer_settings": {
        "rate_decay": 0.1,
        "initial": 0.5,
        "decay_term": 0.1,
        "power": 0.5,
        "average_from": 3,
        "shrink": 0.7,
        "grow": 1.1,
        "step_least": 1e-5,
        "step_most": 0.02,
        "clip_update": 2.0,
        "iterations": 3,
    },
    "training.schedule_settings": {
        "end": 0.1,
        "rise": 0.2,
        "begin": 0.1,
        "every": 3,
        "drop": 0.4,
        "per_epoch": 0.5,
        "curve": 3.0,
        "first": 2,
        "longer": 3,
    },
}
PATHS = [(section, name) for section, names in VALUES.items() for name in names]


def test_each_former_name_is_tested() -> None:
    assert {section: set(names) for section, names in FORMER_SETTINGS.items()} == {
        section: set(names) for section, names in VALUES.items()
    }


@pytest.mark.parametrize(("section", "name"), PATHS)
def test_former_names_are_read_in_documents_and_sweeps(section: str, name: str) -> None:
    path, value = f"{section}.{name}", VALUES[section][name]
    present = present_path(path)
    document = json.loads(dumps(moons()))
    part = document
    for key in section.split("."):
        part = part.setdefault(key, {})
    part[name] = value
    read = loads(json.dumps(document))
    # Beside the settings of the document, as an older sweep or its best trial assigns it
    assigned = assign(read, {path: value})
    for project in (read, loads(dumps(read)), assigned, assign(moons(), {path: value})):
        assert value_of(project, present) == value
    assert list(check_space(moons(), {path: {"choices": [value]}})) == [present]
    assert setting_title(path) == setting_title(present)


@pytest.mark.parametrize(("section", "name"), [path for path in PATHS if path[0] != "data.options"])
def test_former_names_can_be_set(section: str, name: str) -> None:
    value, present = VALUES[section][name], present_path(f"{section}.{name}")
    changed = with_settings(_reading(present), [f"{name}={json.dumps(value)}"])
    project = moons().model_copy(update={"training": changed})
    assert value_of(project, present) == value


def _reading(path: str) -> Training:
    """Training settings with a task, an optimizer or a schedule that reads a setting."""
    name = path.rpartition(".")[2]
    optimizer = next((key for key, choice in OPTIMIZERS.items() if name in choice.settings), "adam")
    schedule = next((key for key, choice in SCHEDULES.items() if name in choice.settings), "constant")
    reading = (key for key, item in tasks().items() if name in (*item.settings, *item.rl_settings))
    objective = next(reading, "classification")
    return Training(objective=objective, optimizer=optimizer, schedule=schedule if optimizer == "adam" else "constant")


def test_former_names_of_settings_of_fields_are_read_in_conditions_on_runs() -> None:
    column = "data.options.fields.image.normalize"
    assert known_column("--where", "data.options.fields.image.normalise", [column]) == column


def test_former_names_of_tasks_are_read_outside_documents(tmp_path: Path) -> None:
    former, present = next(iter(FORMER_TASKS.items()))
    (tmp_path / "meta.json").write_text(json.dumps({"task": former}))
    assert read_meta(tmp_path)["task"] == present
    assert RunSummary.from_json({"objective": former}).objective == present
    assert task(former).name == present


def test_former_names_of_layers_colors_augmentations_and_tasks_are_read() -> None:
    document = json.loads(dumps(moons()))
    document["networks"]["main"]["nodes"]["sample"] = {"type": "Reparameterise"}
    note = {"text": "a", "at": [0, 0], "color": "grey"}
    document["networks"]["main"]["notes"] = {"note_1": note}
    document["training"] |= {"augment": [{"kind": "colour"}], "objective": "language_modelling"}
    project = loads(json.dumps(document))
    assert project.main_network.nodes["sample"].type == "Reparameterize"
    typed = network_of("mean = Input()\nlog_var = Input()\nreturn Reparameterise(mean, log_var)", {})
    assert "Reparameterize" in {node.type for node in typed.nodes.values()}
    assert project.main_network.notes["note_1"].color == "gray"
    assert project.training.augment == (Augment(kind="color"),)
    assert project.training.objective == "language_modeling"
    edited = apply(moons(), {"kind": "note", "id": "note_1", "note": note})
    assert edited.main_network.notes == project.main_network.notes
