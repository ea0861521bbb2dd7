"""The advanced settings of the Train page, in collapsed groups with a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from netloom.core.text import escape
from netloom.data.splits.parts import validation_of_rows
from netloom.document import Edit, Training
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, SETTINGS
from netloom.document.training_settings import describe_field
from netloom.editing.live import Live
from netloom.layers import label
from netloom.runs.history.setting_titles import choice_titles
from netloom.tasks import Task, task
from netloom.tasks.regression import LOSS_PARAMETERS
from netloom.training import OBJECTIVES
from netloom.training.optimization.schedules import Schedule
from netloom.ui.components.backend_picker import backend_picker, backend_summary
from netloom.ui.components.charts.charts import TRAIN
from netloom.ui.components.expander import expander
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.components.settings import choose, differing, field, settings_of
from netloom.ui.components.words import unique_labels
from netloom.ui.train.loss_form import ADVANCED_LOSSES, BALANCED, CUSTOM, UNIFORM, WEIGHTINGS, weights_input
from netloom.ui.train.state import Key

# The number of points of the curve of a schedule.
POINTS = 120
# The assumed steps per epoch without data.
STEPS = 50


@dataclass(frozen=True)
class _Group:
    """A group of settings: `settings` are the labels of its fields, `words` describe those that are not defaults."""

    title: str
    icon: str
    words: str
    settings: tuple[str, ...]
    draw: Callable[[], None]


def advanced_settings(live: Live) -> None:
    """Draw all groups with their search. Settings that differ from the defaults are listed below their group."""
    groups = _groups(live)
    named = unique_labels(
        {
            f"{group.title}/{setting}": setting if setting == group.title else f"{setting} ({group.title})"
            for group in groups
            for setting in dict.fromkeys((*group.settings, group.title))
        }
    )
    setting_path = st.selectbox(
        "Advanced settings",
        list(named),
        index=None,
        format_func=named.__getitem__,
        placeholder="Search: EMA, gradient accumulation …",
        help="The defaults suit most runs. Type the name of a setting to open its group, or open the groups below.",
        key=Key.SETTING.of(live.id),
    )
    chosen = setting_path.partition("/")[0] if setting_path else None
    with st.container(gap="xsmall"):
        for group in groups:
            if chosen in (None, group.title):
                _draw(group, is_found=chosen is not None)


def _draw(group: _Group, *, is_found: bool) -> None:
    """Draw a group, closed unless the search found it."""
    key = Key.GROUP.of(group.title, is_found)
    expander(group.title, group.draw, key=key, icon=group.icon, words=group.words, is_expanded=is_found)


def _groups(live: Live) -> list[_Group]:
    """Return the groups; agents have fewer settings, because they have neither batches of rows nor classes."""
    training = live.project.training
    objective = OBJECTIVES.get(training.objective)
    known_task = objective.task if objective is not None else None
    return [
        *_optimization_groups(live, training, known_task),
        *_loss_groups(live, training, known_task),
        *_run_groups(live, training, known_task),
    ]


def _optimization_groups(live: Live, training: Training, known_task: Task | None) -> list[_Group]:
    """Return the groups of the learning rate, the optimizer and the regularization."""
    steps = ["gradient_clip", "gradient_clip_value", *([] if _acts(known_task) else ["gradient_accumulation_steps"])]
    against = ["weight_decay", "decay_matrices_only", "ema_decay"]
    if known_task is not None and "label_smoothing" in known_task.read_settings(training):
        against.append("label_smoothing")
    schedules = tuple(SETTINGS[name].title for name in SCHEDULES[training.schedule].settings)
    optimizer = tuple(SETTINGS[name].title for name in OPTIMIZERS[training.optimizer].settings)
    custom_note = "custom settings" if _has_custom_settings(training) else ""
    return [
        _Group(
            "LR schedule",
            ":material/show_chart:",
            _schedule_words(training),
            (*schedules, *_titles(["warmup"])),
            lambda: _schedule(live),
        ),
        _Group(
            "Optimizer details",
            ":material/footprint:",
            _joined(custom_note, differing(training, steps)),
            (*optimizer, *_titles(steps)),
            lambda: _steps(live, steps),
        ),
        _Group(
            "Regularization",
            ":material/shield:",
            differing(training, against),
            _titles(against),
            lambda: _fields(live, against),
        ),
    ]


def _loss_groups(live: Live, training: Training, known_task: Task | None) -> list[_Group]:
    """Return the groups of the settings of the loss that the task reads."""
    if known_task is None:
        return []
    groups = []
    takes = known_task.read_settings(training)
    if "class_weights" in takes:
        words = differing(training, ["class_weights"])
        groups.append(_Group("Class weights", ":material/balance:", words, (), lambda: _classes(live)))
    focal = [name for name in ADVANCED_LOSSES if name in takes]
    if focal:
        title = "Focal and Dice loss" if len(focal) > 1 else "Focal loss"
        icon, words = ":material/center_focus_strong:", differing(training, focal)
        groups.append(_Group(title, icon, words, _titles(focal), lambda: _fields(live, focal)))
    if "regression_loss" in takes:
        words = differing(training, ["regression_loss"])
        losses = _titles([name for name in LOSS_PARAMETERS.values() if name in known_task.settings])
        title = "Reconstruction loss" if known_task.reconstructs_input else "Regression loss"
        groups.append(_Group(title, ":material/balance:", words, losses, lambda: _error_loss(live)))
    return groups


def _run_groups(live: Live, training: Training, known_task: Task | None) -> list[_Group]:
    """Return the groups of the layers, the checkpoints and the machine."""
    checkpoints = ["monitor", "early_stopping", "checkpoint"]
    machine = ["device", "precision", *([] if _acts(known_task) else ["compile", "cuda_graphs"]), "seed"]
    layers = ["layer_lr_multipliers", "layer_lr_decay"]
    return [
        _Group(
            "Per-layer learning rates",
            ":material/layers:",
            differing(training, layers),
            _titles(layers),
            lambda: _layers(live),
        ),
        _Group(
            "Early stopping and checkpoints",
            ":material/flag:",
            differing(training, checkpoints),
            _titles(checkpoints),
            lambda: _checkpoints(live),
        ),
        _Group(
            "Device and performance",
            ":material/memory:",
            _joined(differing(training, machine), backend_summary()),
            _titles(machine),
            lambda: _machine(live, machine),
        ),
    ]


def _acts(known_task: Task | None) -> bool:
    return known_task is not None and known_task.environment


def _titles(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(describe_field(name).title for name in names)


def _fields(live: Live, names: list[str]) -> None:
    for name in names:
        field(live, name)


def _machine(live: Live, names: list[str]) -> None:
    _fields(live, names)
    backend_picker()


def _joined(*words: str) -> str:
    return ", ".join(word for word in words if word)


# The learning rate.


def _schedule_words(training: Training) -> str:
    chosen = SCHEDULES[training.schedule].title if training.schedule != "constant" else ""
    return _joined(chosen, differing(training, ["warmup"]))


def _schedule(live: Live) -> None:
    training = live.project.training
    titles = {name: choice.title for name, choice in SCHEDULES.items()}
    choose(live, "schedule", titles, renews=True, help=SCHEDULES[training.schedule].help)
    settings_of(live, "schedule_settings", SCHEDULES[training.schedule])
    field(live, "warmup", renews=True)
    if training.schedule == "plateau":
        st.caption(f"{SCHEDULES['plateau'].help}.")
    elif training.schedule != "constant" or training.warmup:
        st.image(_curve(live), width="stretch", alt="Curve of the learning rate over the steps")
        st.caption(f"Learning rate from the first step to the last; the peak is {training.learning_rate:g}.")


def _curve(live: Live) -> str:
    """Return the learning rate over the run as an SVG curve."""
    training = live.project.training
    data = None if live.data_problem() else live.schema()
    rows = data.rows * (1 - validation_of_rows(live.project.data) - live.project.data.test) if data else 0
    per_step = training.batch_size * training.gradient_accumulation_steps
    per_epoch = max(1, round(rows / per_step)) if rows else STEPS
    total = max(2, per_epoch * training.epochs)
    schedule = Schedule(training, total, per_epoch)
    points = []
    for index in range(POINTS + 1):
        factor = schedule.factor(round(index / POINTS * (total - 1)))
        points.append(f"{index / POINTS * 236 + 2:.1f},{46 - 42 * factor:.1f}")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 50" width="480" height="100">'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{TRAIN}" stroke-width="1.8"/></svg>'
    )


# The optimizer.


def _has_custom_settings(training: Training) -> bool:
    choice = OPTIMIZERS[training.optimizer]
    return any(name in choice.settings for name in training.optimizer_settings)


def _steps(live: Live, names: list[str]) -> None:
    training = live.project.training
    settings_of(live, "optimizer_settings", OPTIMIZERS[training.optimizer])
    _fields(live, names)
    count = training.gradient_accumulation_steps
    if count > 1 and "gradient_accumulation_steps" in names:
        st.caption(f"Effective batch size: {training.batch_size * count:,} examples per step.")


# Classes and errors.


def _classes(live: Live) -> None:
    training = live.project.training
    data = None if live.data_problem() else live.schema()
    classes = data.target.classes if data else ()
    weights = training.class_weights
    current = UNIFORM if weights is None else BALANCED if weights == BALANCED else CUSTOM

    # At least two, because a document with fewer weights is invalid.
    begin: dict[str, Any] = {UNIFORM: None, BALANCED: BALANCED, CUSTOM: [1.0] * max(len(classes), 2)}

    def weigh(new: Any) -> Edit:
        return {"kind": "project", "training": {"class_weights": new}}

    binding = bound(live, "training/weighting", current, lambda new: weigh(begin[new]), renews=True)
    options = list(WEIGHTINGS)
    st.selectbox("Class weights", options, options.index(current), WEIGHTINGS.__getitem__, **binding)
    refused(binding)
    if isinstance(weights, tuple):
        weights_input(live, "training/class_weights", weights, classes, weigh)
    elif weights == BALANCED:
        st.caption("Weights are computed from the training rows. Metrics stay unweighted.")


def _error_loss(live: Live) -> None:
    training = live.project.training
    chosen = task(training.objective)
    without = [loss for loss, setting in LOSS_PARAMETERS.items() if setting not in chosen.settings]
    choose(live, "regression_loss", choice_titles("regression_loss"), renews=True, without=without)
    for name in LOSS_PARAMETERS.values():
        if name in chosen.read_settings(training):
            field(live, name)


# Layers.


def _layers(live: Live) -> None:
    field(live, "layer_lr_decay")
    multipliers = live.project.training.layer_lr_multipliers
    nodes = live.project.main_network.nodes
    for path, multiplier in multipliers.items():
        node = nodes.get(path)
        binding = _multiplier(live, path, multiplier)
        title = escape(label(node)) if node else path
        text = "Multiplies the learning rate of this layer. 0 freezes it; empty removes the setting"
        st.number_input(title, 0.0, 1000.0, float(multiplier), step=None, format="%g", help=text, **binding)
        refused(binding)
    untuned = [key for key, node in nodes.items() if key not in multipliers and not node.frozen and _learns(live, key)]
    if untuned:
        binding = bound(live, "training/layer", "", lambda key: _with_multiplier(live, key, 0.1), renews=True)
        titles = {"": "Select a layer", **{key: label(nodes[key]) for key in untuned}}
        st.selectbox("Per-layer LR", ["", *untuned], 0, titles.__getitem__, **binding)


def _multiplier(live: Live, path: str, multiplier: float) -> Binding:
    return bound(
        live, f"training/layer/{path}", float(multiplier), lambda new: _with_multiplier(live, path, new), renews=True
    )


def _with_multiplier(live: Live, path: str, multiplier: float | None) -> Edit:
    multipliers = {key: old for key, old in live.project.training.layer_lr_multipliers.items() if key != path}
    return {
        "kind": "project",
        "training": {"layer_lr_multipliers": multipliers if multiplier is None else {**multipliers, path: multiplier}},
    }


def _learns(live: Live, key: str) -> bool:
    """Return whether a node is known to have weights."""
    measured = live.analysis().networks[live.project.main].measured.get(key)
    return measured is not None and measured.parameters > 0


# The end.


def _checkpoints(live: Live) -> None:
    training = live.project.training
    objective = OBJECTIVES.get(training.objective)
    schema = None if live.data_problem() else live.schema()
    if objective is not None and schema is not None:
        objective = objective.described(training, schema)
    titles = {"loss": "Loss", **(objective.titles(training) if objective else {})}
    if objective is not None and objective.task.environment:  # the only metric by which an agent's weights are chosen
        titles = {"return" if training.monitor == "return" else "loss": "Return"}
    if training.monitor not in titles:
        titles[training.monitor] = f"{training.monitor} (not available)"
    choose(live, "monitor", titles)
    _fields(live, ["early_stopping", "checkpoint"])
