"""Tabs that draw only the open one."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def tabs_page() -> None:
    from functools import partial

    import streamlit as st

    from netloom.ui.components.tabs import tabs

    tabs({"One": partial(st.caption, "first"), "Two": partial(st.caption, "second")}, "both")


def test_only_the_open_tab_is_drawn() -> None:
    app = AppTest.from_function(tabs_page, default_timeout=60).run()
    assert [tab.label for tab in app.tabs] == ["One", "Two"]
    assert [item.value for item in app.caption] == ["first"]
    app.session_state["both"] = "Two"
    app.run()
    assert [item.value for item in app.caption] == ["second"]
