"""The titles of settings and of their choices, for forms, tables and model cards."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.document import DataChoice, Training
from netloom.document.former_names import present_path
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, SETTINGS
from netloom.document.rl_settings import Agent
from netloom.document.training_settings import describe_field
from netloom.tasks.registry import tasks

# Labels of choices whose names are not clear.
CHOICES: dict[str, dict[str, str]] = {
    "device": {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"},
    "precision": {"float32": "float32", "bf16": "Mixed (bf16)", "fp16": "Mixed (fp16) on GPU", "auto": "Automatic"},
    "compile": {"off": "Off", "auto": "Automatic"},
    "cuda_graphs": {"off": "Off", "auto": "Automatic"},
    "checkpoint": {"best": "Best", "last": "Last"},
    "likelihood": {
        "none": "None (mean squared error)",
        "gaussian": "Gaussian",
        "laplace": "Laplace",
        "bernoulli": "Bernoulli (binary cross-entropy)",
    },
    "similar_class": {"second": "The second", "first": "The first"},
    "regression_loss": {
        "mse": "Squared error (MSE)",
        "mae": "Absolute error (MAE)",
        "huber": "Huber (robust to outliers)",
        "quantile": "Quantile (pinball)",
    },
}


def setting_title(path: str) -> str:
    """Return the title of a setting by its path in a document, such as `training.learning_rate`; the path itself for
    the parameters of nodes, whose names the user chose."""
    section, _, name = present_path(path).partition(".")
    group, _, part = name.partition(".")
    if section == "training" and name in Training.model_fields:
        return describe_field(name).title
    if section == "training" and group == "agent" and part in Agent.model_fields:
        return Agent.model_fields[part].title or part
    if section == "data" and name in DataChoice.model_fields:
        return DataChoice.model_fields[name].title or _as_words(name)
    if section == "training" and part in SETTINGS and group in ("optimizer_settings", "schedule_settings"):
        return SETTINGS[part].title
    return _as_words(part) if section in ("training", "data") and part else path


def _as_words(name: str) -> str:
    return name.replace("_", " ").replace(".", " · ").capitalize()


def setting_value(path: str, value: str) -> str:
    """Return the text of a value of a setting: the title of a choice of the training section, others unchanged."""
    section, _, name = present_path(path).partition(".")
    return {"[]": "None", **choice_titles(name)}.get(value, value) if section == "training" else value


def choice_titles(name: str) -> Mapping[str, str]:
    """Return the titles of the choices of a training setting; those without one are shown by name."""
    declared: Mapping[str, Mapping[str, str]] = {
        "objective": {key: task.title for key, task in tasks().items()},
        "optimizer": {key: choice.title for key, choice in OPTIMIZERS.items()},
        "schedule": {key: choice.title for key, choice in SCHEDULES.items()},
    }
    return declared.get(name) or CHOICES.get(name, {})
