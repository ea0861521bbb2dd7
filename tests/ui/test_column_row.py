"""Widgets in columns keep their order for the keyboard, and on a phone, where columns are one below the other."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def _page() -> None:
    import streamlit as st

    from netloom.ui.components.column_row import in_rows

    for column, name in in_rows("abcde", 2):
        column.text_input(name)
    st.text_input("f")


def test_widgets_in_rows_keep_their_order() -> None:
    page = AppTest.from_function(_page).run()
    assert [widget.label for widget in page.text_input] == list("abcdef")
    assert len(page.columns) == 6, "the last row has an empty column, so that all are equally wide"
