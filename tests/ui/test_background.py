"""Background work that the script of a page starts."""

from __future__ import annotations

import threading

import pytest
from streamlit.testing.v1 import AppTest

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
