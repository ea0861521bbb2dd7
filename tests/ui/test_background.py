"""Background work that the script of a page starts."""

from __future__ import annotations

import threading

import pytest
from streamlit.testing.v1 import AppTest

from netloom.core.text import escape
from netloom.ui.shell.background import in_background


def _page() -> None:
    import threading
    import time

    import streamlit as st

    from netloom.ui.shell.background import in_background

    def compute() -> str:
        time.sleep(0.3)
        return threading.current_thread().name

    st.text(in_background(compute, "Reading the data …"))


def test_result_replaces_the_placeholder() -> None:
    page = AppTest.from_function(_page, default_timeout=30).run()
    assert [text.value for text in page.text] == ["background"]
    assert not page.caption


def test_background_error_is_raised_in_the_calling_script() -> None:
    def fail() -> None:
        raise ValueError(threading.current_thread().name)

    with pytest.raises(ValueError, match="background"):
        in_background(fail, "Reading the data …")


def _failing_page() -> None:
    import streamlit as st

    from netloom.jobs import JobError
    from netloom.ui.shell.background import in_background

    def fail() -> str:
        raise JobError("The process ended.")

    st.text(in_background(lambda: "The data") if st.session_state.get("repaired") else in_background(fail))


def test_killed_worker_is_a_sentence_and_a_button_that_tries_again() -> None:
    page = AppTest.from_function(_failing_page, default_timeout=30).run()
    assert [error.value for error in page.error] == [escape("The process ended.")]
    assert not page.text
    page.session_state["repaired"] = True
    [again] = page.button
    again.click().run()
    assert [text.value for text in page.text] == ["The data"]
    assert not page.error
