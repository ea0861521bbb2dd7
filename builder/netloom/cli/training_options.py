"""Training settings on the command line: `--set NAME=VALUE`, and the list of all settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from netloom.cli.text import table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.cli.command import Context
    from netloom.document import Training

# Fields that other options set, or that hold the settings of an optimizer or schedule, which are listed one by one.
NOT_LISTED = ("objective", "initial_weights", "optimizer_settings", "schedule_settings", "agent", "augment")
_SECTION = "training."  # the path of a setting in a document, as error messages write it


def with_settings(training: Training, assignments: Sequence[str]) -> Training:
    """Return the training settings changed by assignments `NAME=VALUE`.

    A name is that of a field, or of a setting of the chosen optimizer or schedule or of the agent, optionally after its
    path in the document, such as `training.agent.`.

    Raises:
        ValueError: an assignment is wrong; the message is a sentence.
    """
    from netloom.document import EditError, Training, updated
    from netloom.tasks import task
    from netloom.tasks.unread_settings import unread_settings

    if not assignments:
        return training
    changes = [_parse_assignment(text) for text in assignments]
    # First the choices that decide which other settings exist
    changes.sort(key=lambda pair: pair[0] not in ("objective", "optimizer", "schedule"))
    values = training.model_dump(mode="json")
    for name, value in changes:
        _set(values, name, value)
    try:
        changed = updated(training, values, "setting")
    except EditError as error:
        raise ValueError(f"This setting was refused: {error}") from None
    for name in sorted(unread_settings(changed).intersection(name for name, _ in changes)):
        if getattr(changed, name) == Training.model_fields[name].get_default(call_default_factory=True):
            continue  # a reset
        raise ValueError(
            f"{name} has no effect on {task(changed.objective).title.lower()} with these settings; leave it out."
        )
    return changed


def list_settings(context: Context) -> int:
    """List every setting with its choices, then the settings of each optimizer and schedule, and of agents."""
    from netloom.document import Training
    from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, SETTINGS
    from netloom.document.rl_settings import Agent
    from netloom.document.training_settings import describe_field
    from netloom.tasks import tasks

    rows = []
    for name in Training.model_fields:
        if name not in NOT_LISTED:
            facts = describe_field(name)
            allowed = ", ".join(facts.choices)
            if name in ("optimizer", "schedule"):
                allowed = ", ".join(OPTIMIZERS if name == "optimizer" else SCHEDULES)
            rows.append((name, _default_text(facts.default), facts.description, allowed))
    for kind, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        owners: dict[tuple[str, str], list[str]] = {}
        for key, choice in choices.items():
            for name, default in choice.settings.items():
                owners.setdefault((name, _default_text(default)), []).append(key)
        rows += [
            (name, default, SETTINGS[name].help, f"{kind} {', '.join(parents)}")
            for (name, default), parents in owners.items()
        ]
    for name, field in Agent.model_fields.items():
        readers = ", ".join(key for key, task in tasks().items() if name in task.rl_settings)
        rows.append((name, _default_text(field.default), field.description or "", f"objective {readers}"))
    value = [dict(zip(("name", "default", "help", "of"), row, strict=True)) for row in rows]
    context.answer(value, table(("setting", "default", "description", "choices, or parent setting"), rows))
    return 0


def _parse_assignment(text: str) -> tuple[str, Any]:
    from netloom.document.former_names import present_path

    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise ValueError(f"A setting is written NAME=VALUE; received {plain(text)[:60]!r}.")
    path = present_path(_SECTION + name.strip().removeprefix(_SECTION))
    return path.removeprefix(_SECTION), parse_value(value.strip())


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    """Set a field, the multiplier of a layer, or a setting of the optimizer, the schedule or the agent."""
    from netloom.document.former_names import FORMER_SETTINGS

    field, _, path = name.partition(".")
    if path and field == "layer_lr_multipliers":
        others = {key: factor for key, factor in values[field].items() if key != path}
        values[field] = others if value is None else {**others, path: value}
        return
    if name in values and name not in ("agent", "augment"):
        # "none" is a choice of some settings, and no value of others.
        has_text = isinstance(_defaults()[name], str)
        values[name] = "none" if value is None and has_text else value
        return
    sections = _section_settings(values)
    setting = name
    if path and field in sections:
        sections, setting = {field: sections[field]}, path
    # The present names first: `power` is the name of one setting, and was that of another
    present = [(section, setting) for section in sections]
    former = [(section, FORMER_SETTINGS[_SECTION + section].get(setting)) for section in sections]
    for section, known in (*present, *former):
        if known in sections[section]:
            values[section] = {**values[section], known: value}
            return
    raise ValueError(_unknown_setting(name, values))


def _section_settings(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the settings that the chosen optimizer, schedule and objective read, by the section that contains them."""
    from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
    from netloom.tasks import tasks

    optimizer, schedule = OPTIMIZERS.get(values["optimizer"]), SCHEDULES.get(values["schedule"])
    task = tasks().get(values["objective"])
    return {
        "optimizer_settings": tuple(optimizer.settings) if optimizer else (),
        "schedule_settings": tuple(schedule.settings) if schedule else (),
        "agent": task.rl_settings if task else (),
    }


@cache
def _defaults() -> Mapping[str, Any]:
    from netloom.document import Training

    return Training().model_dump(mode="json")


def _unknown_setting(name: str, values: Mapping[str, Any]) -> str:
    """Return the sentence for an unknown setting: it suggests the nearest name, or says where all are listed."""
    from netloom.core.field_errors import nearest_name
    from netloom.document.rl_settings import Agent

    if (setting := name.removeprefix("agent.")) in Agent.model_fields:
        objective = values["objective"]
        return f"{setting} is a setting of agents and has no effect on the objective {objective}; leave it out."
    sections = _section_settings(values)
    listed = [field for field in values if field not in NOT_LISTED]
    nearest = nearest_name(name, [*listed, *chain.from_iterable(sections.values())])
    if nearest is not None:
        return f"There is no setting {plain(name)[:40]!r}; did you mean {nearest!r}?"
    optimizer, schedule = (", ".join(sections[f"{kind}_settings"]) or "none" for kind in ("optimizer", "schedule"))
    return (
        f"There is no setting {plain(name)[:40]!r}. `netloom train --settings` lists all settings; the optimizer "
        f"{values['optimizer']} has {optimizer}, the schedule {values['schedule']} has {schedule}."
    )


def parse_value(text: str) -> Any:
    """Parse JSON; `1,3` is a list, `none` is None, and anything else is text."""
    if text.lower() in ("", "none", "empty"):
        return None
    with suppress(ValueError):  # not JSON: a list or text
        return json.loads(text, parse_constant=lambda word: word)  # NaN and Infinity, not JSON, stay text
    if "," in text:
        parts = [parse_value(part.strip()) for part in text.split(",")]
        if all(isinstance(part, (int, float)) for part in parts):
            return parts
    # "off" stays text: it is a choice of `compile`.
    return {"true": True, "false": False, "on": True, "off": "off"}.get(text.lower(), text)


def _default_text(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, (bool, dict, list)) else str(value)
