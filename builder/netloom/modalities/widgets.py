"""Widgets as data: declarations describe widgets, and the user interface draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Widget:
    """A widget with its initial value."""

    value: Any

    def result(self, chosen: Any) -> Any:
        """Return the value that a chosen widget value represents."""
        return chosen


@dataclass(frozen=True)
class TextInput(Widget):
    """A line of text; empty for a missing value."""

    value: str


@dataclass(frozen=True)
class NumberInput(Widget):
    """A number between `low` and `high`. `raw` is the original value, which is kept unless the number changes."""

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
    """Any number of options, as a text with the separator `joint`, or as a list without one."""

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
    """A labeled widget for a setting. The setting is omitted if its value is `unset`."""

    setting: str
    label: str
    widget: Widget
    help: str = ""
    choices: tuple[tuple[str, Any], ...] = ()  # the value of each option
    unset: Any = None

    def setting_of(self, chosen: Any) -> Any:
        """Return the value of the setting for a chosen widget value; None omits the setting."""
        value = dict(self.choices).get(chosen, chosen) if self.choices else self.widget.result(chosen)
        return None if value == self.unset else value
