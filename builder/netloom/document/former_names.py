"""The names that settings, layers, colors and others had in earlier versions, with those that they have now.

Documents, paths in sweeps, `--set` and the columns of runs are read with either name, and written with the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

# By the path of the section that contains the settings
FORMER_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "data.options": {"grey": "grayscale"},
    "training": {
        "average": "ema_decay",
        "accumulation": "gradient_accumulation_steps",
        "keep": "checkpoint",
        "layer_rates": "layer_lr_multipliers",
        "layer_rate_decay": "layer_lr_decay",
        "start": "initial_weights",
        "teacher_share": "distillation_weight",
        "neighbours": "neighbors",
        "liked_from": "relevance_threshold",
    },
    "training.agent": {
        "trials": "evaluation_episodes",
        "warm_up": "learning_starts",
        "learn_every": "train_frequency",
        "updates": "gradient_steps",
        "target_every": "target_update_interval",
        "epsilon_share": "exploration_fraction",
        "rollout": "rollout_steps",
        "passes": "update_epochs",
        "clip": "clip_range",
        "trace": "gae_lambda",
        "entropy": "entropy_weight",
        "epoch_steps": "steps_per_epoch",
    },
    "training.optimizer_settings": {
        "rate_decay": "lr_decay",
        "initial": "initial_accumulator_value",
        "decay_term": "lambd",
        "power": "alpha",
        "average_from": "t0",
        "shrink": "eta_minus",
        "grow": "eta_plus",
        "step_least": "min_step",
        "step_most": "max_step",
        "clip_update": "clip_threshold",
        "iterations": "ns_steps",
    },
    "training.schedule_settings": {
        "end": "end_factor",
        "rise": "pct_start",
        "begin": "start_factor",
        "every": "step_size",
        "drop": "gamma",
        "per_epoch": "decay_rate",
        "curve": "power",
        "first": "first_cycle",
        "longer": "cycle_mult",
    },
}

# Those of any field, in the options of a dataset
FORMER_FIELD_SETTINGS = {"grey": "grayscale", "normalise": "normalize"}

FORMER_LAYER_TYPES = {"Reparameterise": "Reparameterize"}
FORMER_COLORS = {"grey": "gray"}
FORMER_AUGMENTATIONS = {"colour": "color"}
# The objectives of documents, also in the summaries of runs and the descriptions of uploads
FORMER_TASKS = {"language_modelling": "language_modeling"}
# The kinds of uploads, in their descriptions and in `netloom data add --kind`
FORMER_UPLOAD_KINDS = {"labelled_pictures": "labeled_pictures"}


def renamed(values: Any, section: str) -> Any:
    """The settings of a section by their present names; anything but a mapping is returned unchanged.

    Where a setting has both names, the value of the former one is used: an edit of an older version adds it to the
    settings of the document.
    """
    return _renamed(values, FORMER_SETTINGS.get(section, {}))


def renamed_options(options: Any) -> Any:
    """The options of a dataset by their present names, with the settings of its fields."""
    options = renamed(options, "data.options")
    fields = options.get("fields") if isinstance(options, Mapping) else None
    if not isinstance(fields, Mapping):
        return options
    return {**options, "fields": {name: _renamed(settings, FORMER_FIELD_SETTINGS) for name, settings in fields.items()}}


def _renamed(values: Any, former_names: Mapping[str, str]) -> Any:
    if not isinstance(values, Mapping) or former_names.keys().isdisjoint(values):
        return values
    former = {former_names[name]: value for name, value in values.items() if name in former_names}
    return {name: value for name, value in values.items() if name not in former_names} | former


def present_name(former_names: Mapping[str, str]) -> Callable[[Any], Any]:
    """A function that replaces a former name; it returns anything else unchanged."""
    return lambda name: former_names.get(name, name) if isinstance(name, str) else name


def present_value(path: str, value: str) -> str:
    """The value of a setting with a present path, from one that can be a former name."""
    return FORMER_TASKS.get(value, value) if path == "training.objective" else value


def present_path(path: str) -> str:
    """The path of a setting, such as `training.schedule_settings.gamma`, from one that can contain former names."""
    parts: list[str] = []
    for part in path.split("."):
        section = ".".join(parts)
        is_field = section.startswith("data.options.fields.")
        parts.append((FORMER_FIELD_SETTINGS if is_field else FORMER_SETTINGS.get(section, {})).get(part, part))
    return ".".join(parts)
