"""Widgets for the fields of a document's training section, each drawn as the document declares it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from netloom.document import Edit
from netloom.document.optimizer_settings import SETTINGS, Choice
from netloom.document.training_settings import Training, about, settings
from netloom.editing.live import Live
from netloom.ui.components.forms import bound, refused
from netloom.ui.components.words import told_apart

# What the choices of a field are called, where their own names say too little.
CHOICES: dict[str, dict[str, str]] = {
    "device": {"auto": "Automatic", "cpu": "CPU", "cuda": "GPU"},
    "precision": {"float32": "float32", "bf16": "Mixed (bf16)", "fp16": "Mixed (fp16) on GPU"},
    "compile": {"off": "Off", "auto": "Automatic"},
    "keep": {"best": "Best", "last": "Last"},
    "regression_loss": {
        "mse": "Squared error (MSE)",
        "mae": "Absolute error (MAE)",
        "huber": "Huber (robust to outliers)",
        "quantile": "Quantile (pinball)",
    },
}


def setting(live: Live, name: str, value: Any, *, renews: bool = False) -> dict[str, Any]:
    """What binds a widget to a field of the document's training section."""
    edit = lambda new: {"kind": "project", "training": {name: new}}  # noqa: E731
    return bound(live, f"training/{name}", value, edit, renews=renews)


def field(live: Live, name: str, *, step: float | None = None, renews: bool = False) -> None:
    """A number, a switch or a choice."""
    told, value = about(name), getattr(live.project.training, name)
    if told.kind == "choice":
        choose(live, name, CHOICES.get(name, {}), renews=renews)
        return
    made = setting(live, name, value, renews=renews)
    if told.kind == "switch":
        st.toggle(told.title, value, help=told.description, **made)
        return
    if told.kind == "whole":
        low, high = int(told.low or 0), None if told.high is None else int(told.high)
        st.number_input(told.title, low, high, value, step=1, help=told.description, placeholder="empty", **made)
    else:
        low_, high_ = _float(told.low), _float(told.high)
        st.number_input(
            told.title,
            low_,
            high_,
            _float(value),
            step=step,
            format="%g",
            help=told.description,
            placeholder="empty",
            **made,
        )
    refused(made)


def choose(live: Live, name: str, titles: Mapping[str, str], *, renews: bool = False, help: str | None = None) -> None:
    """One of several; `titles` says what each is called, and which there are where the document does not."""
    told, value = about(name), getattr(live.project.training, name)
    options = list(told.choices or titles)
    shown = value if value in options else options[0]
    made = setting(live, name, shown, renews=renews)
    names = told_apart({key: titles.get(key, key) for key in options})
    st.selectbox(
        told.title,
        options,
        options.index(shown),
        names.__getitem__,
        help=help or told.description or None,
        **made,
    )
    refused(made)


def settings_of(live: Live, name: str, choice: Choice) -> None:
    """What can be set of the optimizer or the schedule that is chosen, in two columns; `name` is the field of both."""
    kept: dict[str, Any] = dict(getattr(live.project.training, name))
    columns = st.columns(2)
    for place, (key, value) in enumerate(settings(choice, kept).items()):
        with columns[place % 2]:
            _one(live, name, kept, key, value, choice.settings[key])


def _one(live: Live, name: str, kept: dict[str, Any], key: str, value: Any, default: Any) -> None:
    told = SETTINGS[key]

    def edit(new: Any) -> Edit:
        left = {other: old for other, old in kept.items() if other != key}
        changed = left if new is None or new == default else {**left, key: new}
        return {"kind": "project", "training": {name: changed}}

    made = bound(live, f"training/{name}/{key}", value, edit, renews=True)
    if told.switch:
        st.toggle(told.title, value, help=told.help, **made)
    elif told.whole:
        st.number_input(told.title, int(told.low), int(told.high), int(value), step=1, help=told.help, **made)
    else:
        low, high = float(told.low), float(told.high)
        st.number_input(told.title, low, high, float(value), step=None, format="%g", help=told.help, **made)
    refused(made)


def differing(training: Training, names: Iterable[str]) -> str:
    """What of these fields is not as by default, in a few words."""
    words = []
    for name in names:
        told, value = about(name), getattr(training, name)
        if value in (told.default, None) or value in ({}, ()):
            continue
        if told.kind == "switch":
            words.append(_inside(told.title))
        elif isinstance(value, str):
            words.append(CHOICES.get(name, {}).get(value, value).lower())
        elif isinstance(value, (int, float)):
            words.append(f"{_inside(told.title)} {value:g}")
        else:
            words.append(f"{len(value)} custom")
    return ", ".join(words)


def _inside(title: str) -> str:
    """A title within a sentence; an abbreviation such as EMA stays as it is."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
