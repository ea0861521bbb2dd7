"""Tabs of which only the open one is made."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page() -> None:
    from functools import partial

    import streamlit as st

    from netloom.ui.components.tabs import tabs

    tabs({"One": partial(st.caption, "first"), "Two": partial(st.caption, "second")}, "both")


def test_only_what_is_open_is_made() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert [tab.label for tab in app.tabs] == ["One", "Two"]
    assert [item.value for item in app.caption] == ["first"]
    app.session_state["both"] = "Two"
    app.run()
    assert [item.value for item in app.caption] == ["second"]
