"""The title and the comment of a node in the inspector."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from netloom.store import open_store
from netloom.ui.design.state import Key
from tests.networks import chain


def script(key: str) -> None:
    """The inspector of the node `relu_1`."""
    import streamlit as st

    from netloom.editing.live import Live
    from netloom.store import open_store
    from netloom.ui.design.inspector import inspector

    if "live" not in st.session_state:
        st.session_state["live"] = Live(open_store(), key)
    inspector(st.session_state["live"], "main", ["relu_1"])


def test_comment_that_is_too_long_stays_with_an_error(home: Path) -> None:
    store = open_store(home)
    key = store.create_project(chain(("Input", {"shape": [2]}), ("ReLU", {}), ("Output", {})))
    app = AppTest.from_function(script, args=(key,), default_timeout=60)
    app.session_state[Key.ABOUT] = True  # open the expander
    app.run()
    [comment] = app.text_area
    assert comment.proto.max_chars == 0, "a pasted text above the limit would be ignored"
    comment.set_value("x" * 5_001).run()
    [error] = app.error
    assert error.value == "Must have at most 5,000 characters, received 5,001\\."
    [comment] = app.text_area
    assert comment.value == "x" * 5_001
    assert store.load(key).project.main_network.nodes["relu_1"].note == ""
    comment.set_value("x" * 5_000).run()
    assert not app.error
    assert store.load(key).project.main_network.nodes["relu_1"].note == "x" * 5_000
