"""What a page keeps for one browser tab: typed fields and named widget keys over Streamlit's session state.

These are the only ways to session state, and `state.py` beside each page is the only place that uses them to name
something: a page asks its state for `state.chosen`, never the session for a string.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, cast

import streamlit as st


@dataclass
class PageState:
    """The base of each page's state: a dataclass whose fields all have defaults.

    There is one object for each class and tab. It outlives a change of page, which widgets' own values do not, and ends
    with the tab.
    """

    @classmethod
    def name(cls) -> str:
        """The name under which the session keeps this state."""
        return f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def current(cls) -> Self:
        """The state of the tab that is drawn now."""
        if cls.name() not in st.session_state:
            st.session_state[cls.name()] = cls()
        return cast("Self", st.session_state[cls.name()])


class WidgetKey(StrEnum):
    """The base of the keys of a page's widgets."""

    def of(self, *parts: object) -> str:
        """The key of one of several such widgets; the parts tell it from the others."""
        return " ".join([self.value, *map(str, parts)])

    def within(self, key: str, *parts: object) -> str:
        """The key of this part of a component that is given a key of its own."""
        return f"{key} {self.of(*parts)}"


def has_value(key: str) -> bool:
    """Whether the widget of this key was drawn or set in the last run."""
    return key in st.session_state


def value_of(key: str, default: Any = None) -> Any:
    """What the widget of this key holds; the default where it was not drawn."""
    return st.session_state.get(key, default)


def set_value(key: str, value: Any) -> None:
    """Have the widget of this key hold a value, before it is drawn."""
    st.session_state[key] = value


def values_below(prefix: str) -> dict[str, Any]:
    """What widgets hold whose keys begin with a prefix, by the rest of their keys."""
    return {
        str(key).removeprefix(prefix): value for key, value in st.session_state.items() if str(key).startswith(prefix)
    }


def forget_below(prefix: str) -> None:
    """Have all widgets whose keys begin with a prefix begin anew."""
    for key in [key for key in st.session_state if str(key).startswith(prefix)]:
        del st.session_state[key]
