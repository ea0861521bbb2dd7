"""The titles of the choices of training settings, for forms, tables and model cards."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.tasks.registry import tasks

# Labels of choices whose names are not clear.
CHOICES: dict[str, dict[str, str]] = {
    "device": {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"},
    "precision": {"float32": "float32", "bf16": "Mixed (bf16)", "fp16": "Mixed (fp16) on GPU", "auto": "Automatic"},
    "compile": {"off": "Off", "auto": "Automatic"},
    "keep": {"best": "Best", "last": "Last"},
    "likelihood": {
        "none": "None (mean squared error)",
        "gaussian": "Gaussian",
        "laplace": "Laplace",
        "bernoulli": "Bernoulli (binary cross-entropy)",
    },
    "regression_loss": {
        "mse": "Squared error (MSE)",
        "mae": "Absolute error (MAE)",
        "huber": "Huber (robust to outliers)",
        "quantile": "Quantile (pinball)",
    },
}


def choice_titles(name: str) -> Mapping[str, str]:
    """Return the titles of the choices of a training setting; those without one are shown by name."""
    declared: Mapping[str, Mapping[str, str]] = {
        "objective": {key: task.title for key, task in tasks().items()},
        "optimizer": {key: choice.title for key, choice in OPTIMIZERS.items()},
        "schedule": {key: choice.title for key, choice in SCHEDULES.items()},
    }
    return declared.get(name) or CHOICES.get(name, {})
