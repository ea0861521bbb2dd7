"""Widgets for the training settings of a document, drawn from their declarations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import streamlit as st

from netloom.core.text import in_sentence
from netloom.document import Edit
from netloom.document.optimizer_settings import SETTINGS, Choice
from netloom.document.training_settings import Training, describe_field, settings
from netloom.editing.live import Live
from netloom.runs.history.setting_titles import choice_titles
from netloom.ui.components.column_row import in_rows
from netloom.ui.components.forms import Binding, bound, refused
from netloom.ui.components.words import unique_labels


def setting(live: Live, name: str, value: Any, *, renews: bool = False) -> Binding:
    """Return the arguments that bind a widget to a training setting of the document."""
    edit = lambda new: {"kind": "project", "training": {name: new}}  # noqa: E731
    return bound(live, f"training/{name}", value, edit, renews=renews)


def field(live: Live, name: str, *, step: float | None = None, renews: bool = False) -> None:
    """Draw a training setting: a number, a switch or a choice."""
    description, value = describe_field(name), getattr(live.project.training, name)
    if description.kind == "choice":
        choose(live, name, choice_titles(name), renews=renews)
        return
    binding = setting(live, name, value, renews=renews)
    if description.kind == "switch":
        st.toggle(description.title, value, help=description.description, **binding)
        return
    if description.kind == "whole":
        low, high = int(description.low or 0), None if description.high is None else int(description.high)
        st.number_input(
            description.title, low, high, value, step=1, help=description.description, placeholder="empty", **binding
        )
    else:
        low_, high_ = _float(description.low), _float(description.high)
        st.number_input(
            description.title,
            low_,
            high_,
            _float(value),
            step=step,
            format="%g",
            help=description.description,
            placeholder="empty",
            **binding,
        )
    refused(binding)


def choose(
    live: Live,
    name: str,
    titles: Mapping[str, str],
    *,
    renews: bool = False,
    help: str | None = None,
    without: Collection[str] = (),
) -> None:
    """Draw a choice. `titles` are the labels, and the options if the document does not declare them. Options in
    `without`, which the task does not support, are offered only while the document has them."""
    description, value = describe_field(name), getattr(live.project.training, name)
    options = [option for option in description.choices or titles if option not in without or option == value]
    current = value if value in options else options[0]
    binding = setting(live, name, current, renews=renews)
    names = unique_labels({key: titles.get(key, key) for key in options})
    st.selectbox(
        description.title,
        options,
        options.index(current),
        names.__getitem__,
        help=help or description.description or None,
        **binding,
    )
    refused(binding)


def settings_of(live: Live, name: str, choice: Choice) -> None:
    """Draw the settings of the chosen optimizer or schedule in two columns; `name` is their training setting."""
    assigned: dict[str, Any] = dict(getattr(live.project.training, name))
    for column, (key, value) in in_rows([*settings(choice, assigned).items()], 2):
        with column:
            _setting_input(live, name, assigned, key, value, choice.settings[key])


def _setting_input(live: Live, name: str, settings: dict[str, Any], key: str, value: Any, default: Any) -> None:
    description = SETTINGS[key]

    def edit(new: Any) -> Edit:
        other_settings = {name_: old for name_, old in settings.items() if name_ != key}
        changed = other_settings if new is None or new == default else {**other_settings, key: new}
        return {"kind": "project", "training": {name: changed}}

    binding = bound(live, f"training/{name}/{key}", value, edit, renews=True)
    if description.switch:
        st.toggle(description.title, value, help=description.help, **binding)
    elif description.whole:
        st.number_input(
            description.title,
            int(description.low),
            int(description.high),
            int(value),
            step=1,
            help=description.help,
            **binding,
        )
    else:
        low, high = float(description.low), float(description.high)
        st.number_input(
            description.title, low, high, float(value), step=None, format="%g", help=description.help, **binding
        )
    refused(binding)


def differing(training: Training, names: Iterable[str]) -> str:
    """Return a short list of the settings that differ from their defaults."""
    words = []
    for name in names:
        description, value = describe_field(name), getattr(training, name)
        if value in (description.default, None) or value in ({}, ()):
            continue
        if description.kind == "switch":
            words.append(in_sentence(description.title))
        elif isinstance(value, str):
            words.append(choice_titles(name).get(value, value))
        elif isinstance(value, (int, float)):
            words.append(f"{in_sentence(description.title)} {value:g}")
        else:
            words.append(f"{len(value)} custom")
    return ", ".join(words)


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
