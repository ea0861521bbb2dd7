"""The settings of an agent on the Train page, for objectives of reinforcement learning."""

from __future__ import annotations

from typing import Any

import streamlit as st

from netloom.document.rl_settings import Agent
from netloom.editing.live import Live
from netloom.layers import form
from netloom.tasks import task
from netloom.ui.components.column_row import in_rows
from netloom.ui.components.forms import bound, refused


def rl_form(live: Live) -> None:
    """Draw the agent's settings that the project's objective uses, if there are any."""
    names = task(live.project.training.objective).rl_settings
    if not names:
        return
    with st.expander("Agent"):
        for column, name in in_rows(names, 2):
            with column:
                _setting(live, name)


def _setting(live: Live, name: str) -> None:
    field = Agent.model_fields[name]
    title, text, value = field.title or name, field.description, getattr(live.project.training.agent, name)
    binding = bound(live, f"training/agent/{name}", value, lambda new: _edit(live, name, new))
    if isinstance(value, bool):
        st.toggle(title, value, help=text, **binding)
        return
    low, high = _bounds(name)
    if isinstance(value, int):
        st.number_input(title, int(low), int(high), value, step=1, help=text, **binding)
    else:
        st.number_input(title, low, high, value, step=None, format="%g", help=text, **binding)
    refused(binding)


def _bounds(name: str) -> tuple[float, float]:
    form_field = next(item for item in form(Agent) if item.name == name)
    low = float(form_field.minimum or 0.0)
    return low, float(form_field.maximum if form_field.maximum is not None else 1e9)


def _edit(live: Live, name: str, value: Any) -> dict[str, Any]:
    settings = {**live.project.training.agent.model_dump(mode="json"), name: value}
    return {"kind": "project", "training": {"agent": settings}}
