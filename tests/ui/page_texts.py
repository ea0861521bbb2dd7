"""What tests of pages check and read on a page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def checked(app: AppTest) -> AppTest:
    """The page, which shows no error."""
    assert not app.exception, [item.message for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def texts(app: AppTest) -> str:
    """The paragraphs of the page."""
    return " ".join(item.value for item in (*app.markdown, *app.caption, *app.info))
