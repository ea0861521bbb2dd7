"""Widgets as data: a declaration describes what it needs, and the user interface draws any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Widget:
    """A widget and the value that it is drawn with."""

    value: Any

    def result(self, chosen: Any) -> Any:
        """What a value that people chose stands for."""
        return chosen


@dataclass(frozen=True)
class TextInput(Widget):
    """A line of text; a missing value is an empty line."""

    value: str


@dataclass(frozen=True)
class NumberInput(Widget):
    """A number between `low` and `high`. `raw` is the value as the data has it, which stays while nobody changes it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    step: float | None = None
    raw: Any = None

    def result(self, chosen: Any) -> Any:
        return self.raw if self.raw is not None and chosen == self.value else chosen


@dataclass(frozen=True)
class Select(Widget):
    """One of several options."""

    value: str
    options: Sequence[str]


@dataclass(frozen=True)
class MultiSelect(Widget):
    """Any number of options, in one text with `joint` between them, or as a list where there is none."""

    value: Sequence[str]
    options: Sequence[str]
    joint: str | None = None

    def result(self, chosen: Any) -> Any:
        return list(chosen) if self.joint is None else self.joint.join(chosen)


@dataclass(frozen=True)
class Toggle(Widget):
    """On or off."""

    value: bool


@dataclass(frozen=True)
class Field:
    """A widget for a setting, with its label. A setting is left out where its value is `unset`."""

    setting: str
    label: str
    widget: Widget
    help: str = ""
    choices: tuple[tuple[str, Any], ...] = ()  # the value that each option of a selection stands for
    unset: Any = None

    def setting_of(self, chosen: Any) -> Any:
        """The value of the setting that a chosen value stands for; None leaves it out."""
        value = dict(self.choices).get(chosen, chosen) if self.choices else self.widget.result(chosen)
        return None if value == self.unset else value
