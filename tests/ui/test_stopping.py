"""Long work on the explain page can be ended by a button, and begun again."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page() -> None:
    """Work of which the first tenth of a second already counts as long."""
    import time

    import streamlit as st

    from netloom.ui.explain import views

    views.PATIENCE_S = views.SHOWN_EVERY_S = 0.0
    tell = views.progress(st.empty(), "Working …")
    for step in range(3):
        time.sleep(0.001)
        tell(step / 2)
    st.write("done")


def test_what_was_stopped_says_so_and_begins_again() -> None:
    app = AppTest.from_function(page).run()
    assert [one.value for one in app.markdown] == ["done"]
    assert [button.label for button in app.button] == ["Stop"]
    app.button[0].click().run()
    assert [one.value for one in app.markdown] == ["You stopped this."]
    assert [button.label for button in app.button] == ["Begin again"]
    app.button[0].click().run()
    assert [one.value for one in app.markdown] == ["done"]
