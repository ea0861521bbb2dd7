"""The state of a page in one browser tab: typed fields and named widget keys over Streamlit's session state.

Only this module accesses session state, and only `state.py` beside each page names its entries: a page reads
`state.chosen`, never a string key.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, cast

import streamlit as st


@dataclass
class PageState:
    """The base of each page's state: a dataclass whose fields all have defaults.

    There is one object per class and tab. Unlike the values of widgets, it survives a change of page; it ends with the
    tab.
    """

    @classmethod
    def name(cls) -> str:
        """Return the key of this state in the session."""
        return f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def current(cls) -> Self:
        """Return the state of the current tab."""
        if cls.name() not in st.session_state:
            st.session_state[cls.name()] = cls()
        return cast("Self", st.session_state[cls.name()])


class WidgetKey(StrEnum):
    """The base of the keys of a page's widgets."""

    def of(self, *parts: object) -> str:
        """Return the key of one of several such widgets, which the parts identify."""
        return " ".join([self.value, *map(str, parts)])

    def within(self, key: str, *parts: object) -> str:
        """Return the key of this part of a component that has the given key."""
        return f"{key} {self.of(*parts)}"


def has_value(key: str) -> bool:
    """Return whether the widget of this key was drawn or set in the last run."""
    return key in st.session_state


def value_of(key: str, default: Any = None) -> Any:
    """Return the value of the widget of this key; the default if it was not drawn."""
    return st.session_state.get(key, default)


def set_value(key: str, value: Any) -> None:
    """Set the value of the widget of this key, before it is drawn."""
    st.session_state[key] = value


def values_below(prefix: str) -> dict[str, Any]:
    """Return the values of widgets whose keys begin with a prefix, by the rest of their keys."""
    return {
        str(key).removeprefix(prefix): value for key, value in st.session_state.items() if str(key).startswith(prefix)
    }


def forget_below(prefix: str) -> None:
    """Reset all widgets whose keys begin with a prefix."""
    for key in [key for key in st.session_state if str(key).startswith(prefix)]:
        del st.session_state[key]
