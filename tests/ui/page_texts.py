"""What tests of pages check and read on a page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def checked(app: AppTest) -> AppTest:
    """The page, which shows no error."""
    assert not app.exception, [item.message for item in app.exception]
    assert not app.error, [item.value for item in app.error]
    return app


def texts(app: AppTest) -> str:
    """The paragraphs of the page, with the help behind their icons."""
    items = (*app.markdown, *app.caption, *app.info)
    return " ".join(f"{item.value} {getattr(item.proto, 'help', '')}".strip() for item in items)
