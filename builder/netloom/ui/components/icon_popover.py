"""A popover whose button is only an icon."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from netloom.ui.components.state import Key


def icon_popover(label: str, icon: str, *key_parts: object) -> DeltaGenerator:
    """Draw a popover whose button is an icon with a tooltip.

    Streamlit names the opened popover by its label, so that screen readers can announce it. `key_parts` make it unique
    on its page.
    """
    # The style of pages hides the label by the key of this container.
    with st.container(width="content", key=Key.ICON_ONLY.of(label, *key_parts)):
        return st.popover(label, icon=icon, help=label)
