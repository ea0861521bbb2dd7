"""The settings of a recipe on the command line: `--set NAME=VALUE`, and what there is to be set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from netloom.cli.text import table
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.cli.command import Context
    from netloom.document import Training

# Fields that have options, or a place on a page, of their own.
ELSEWHERE = ("objective", "start", "optimizer_settings", "schedule_settings", "agent", "augment")


def with_settings(training: Training, assignments: Sequence[str]) -> Training:
    """A training section with what `NAME=VALUE` says: a field, or a setting of its optimizer or schedule.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    from pydantic import ValidationError

    from netloom.document.files import explain

    if not assignments:
        return training
    changes = [_pair(text) for text in assignments]
    # First what is chosen, then what is set of it.
    changes.sort(key=lambda pair: pair[0] not in ("optimizer", "schedule"))
    values = training.model_dump(mode="json")
    for name, value in changes:
        _put(values, name, value)
    try:
        return type(training).model_validate(values)
    except ValidationError as error:
        raise ValueError(f"This setting was refused: {explain(error)}") from None


def list_settings(context: Context) -> int:
    """Every setting with what it takes, those parents the optimizers and schedules behind their names."""
    from netloom.document import Training
    from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES, SETTINGS
    from netloom.document.training_settings import about

    rows = []
    for name in Training.model_fields:
        if name not in ELSEWHERE:
            facts = about(name)
            allowed = ", ".join(facts.choices)
            if name in ("optimizer", "schedule"):
                allowed = ", ".join(OPTIMIZERS if name == "optimizer" else SCHEDULES)
            rows.append((name, _shown(facts.default), facts.description, allowed))
    for kind, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        owners: dict[tuple[str, str], list[str]] = {}
        for key, choice in choices.items():
            for name, default in choice.settings.items():
                owners.setdefault((name, _shown(default)), []).append(key)
        rows += [
            (name, default, SETTINGS[name].help, f"{kind} {', '.join(parents)}")
            for (name, default), parents in owners.items()
        ]
    value = [dict(zip(("name", "default", "help", "of"), row, strict=True)) for row in rows]
    context.answer(value, table(("setting", "default", "description", "choices, or parent setting"), rows))
    return 0


def _pair(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise ValueError(f"A setting is written NAME=VALUE; received {plain(text)[:60]!r}.")
    return name.strip(), _read(value.strip())


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    """Set a field, or what belongs to it."""
    from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES

    field, _, path = name.partition(".")
    if path and field == "layer_rates":
        rates = {key: rate for key, rate in values["layer_rates"].items() if key != path}
        values["layer_rates"] = rates if value is None else {**rates, path: value}
        return
    if name in values and name not in ("agent", "augment"):
        values[name] = value
        return
    for choice, settings, choices in (
        ("optimizer", "optimizer_settings", OPTIMIZERS),
        ("schedule", "schedule_settings", SCHEDULES),
    ):
        choice_settings = choices.get(values[choice])
        if choice_settings is not None and name in choice_settings.settings:
            values[settings] = {**values[settings], name: value}
            return
    available = {kind: ", ".join(_settings_of(values[kind], kind)) or "none" for kind in ("optimizer", "schedule")}
    raise ValueError(
        f"There is no setting {plain(name)[:40]!r}. `netloom train --settings` lists all settings; the optimizer "
        f"{values['optimizer']} has {available['optimizer']}, the schedule {values['schedule']} has "
        f"{available['schedule']}."
    )


def _settings_of(name: str, kind: str) -> list[str]:
    from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES

    choice = (OPTIMIZERS if kind == "optimizer" else SCHEDULES).get(name)
    return list(choice.settings) if choice else []


def _read(text: str) -> Any:
    """A value as JSON has it; numbers with commas between them are a list, `none` is nothing, all else is text."""
    if text.lower() in ("", "none", "empty"):
        return None
    with suppress(ValueError):  # it is no JSON, so a list or text
        return json.loads(text, parse_constant=lambda word: word)
    if "," in text:
        parts = [_read(part.strip()) for part in text.split(",")]
        if all(isinstance(part, (int, float)) for part in parts):
            return parts
    return {"true": True, "false": False, "on": True, "off": "off"}.get(text.lower(), text)


def _shown(value: Any) -> str:
    return "" if value is None else json.dumps(value) if isinstance(value, (bool, dict, list)) else str(value)
