"""The menu of pages on a phone: Streamlit leaves it open over the page that was chosen."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from netloom.ui.shell.state import Key

_SCRIPT = """
const PHONE_PX = 768;
const close = ({ target }) => {
  if (window.innerWidth > PHONE_PX || !target.closest?.('[data-testid="stSidebarNavLink"]')) return;
  document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
};
export default function () {
  document.addEventListener("click", close);
  return () => document.removeEventListener("click", close);
}
"""


def close_after_tap() -> None:
    """Close the menu of pages on a narrow screen after a page was chosen in it."""
    _component()(key=Key.PAGE_MENU)


@cache
def _component() -> Any:
    return st.components.v2.component("netloom_page_menu", html="<i></i>", js=_SCRIPT)
