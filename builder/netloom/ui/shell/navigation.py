"""The app's pages and the navigation between them."""

from __future__ import annotations

import threading
from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st

from netloom.core.app_files import app_folder
from netloom.ui.components.errors import guard, keep_callback_errors
from netloom.ui.components.popover_focus import focus_popovers
from netloom.ui.components.streamlit_internals import (
    StopException,
    drop_late_refresh_notes,
    main_script,
    reuse_theme,
)
from netloom.ui.components.style import page_style
from netloom.ui.shell import notifications, session, tour
from netloom.ui.shell.background import in_background
from netloom.ui.shell.charts_ahead import charts_ahead
from netloom.ui.shell.menu import close_after_tap

PAGES = {
    "home": ("Home", ":material/home:"),
    "design": ("Design", ":material/schema:"),
    "data": ("Data", ":material/table_chart:"),
    "train": ("Train", ":material/show_chart:"),
    "runs": ("Runs", ":material/compare_arrows:"),
    "explain": ("Explain", ":material/visibility:"),
    "playground": ("Try it", ":material/play_circle:"),
    "deploy": ("Deploy", ":material/rocket_launch:"),
    "monitor": ("Monitor", ":material/monitor_heart:"),
}
# Plotly fails if another thread is still importing pandas, which it takes for loaded.
WITH_CHARTS = ("data", "train", "runs", "explain", "playground", "deploy", "monitor")
# The page of most visits. It has no job, so that the workers start when it is drawn: on few cores, they would delay it.
FIRST = "home"
_state = threading.local()


def navigate() -> None:
    """Draw the navigation, and run the page of the address."""
    icon = Path(__file__).parents[1] / "icon.png"
    st.set_page_config(page_icon=str(icon), layout="wide")
    pages = [
        st.Page(app_folder() / "pages" / f"{name}.py", title=title, icon=symbol, default=name == FIRST)
        for name, (title, symbol) in PAGES.items()
    ]
    keep_callback_errors()
    session.delegate()
    reuse_theme()
    drop_late_refresh_notes()
    chosen = st.navigation(pages, position="top")
    name = next(name for name, page in zip(PAGES, pages, strict=True) if page is chosen)
    heading = "" if name == FIRST else PAGES[name][0]  # the Home page draws the name of the app
    st.set_page_config(page_title=f"{heading} · Netloom" if heading else "Netloom")
    page_style(heading)
    close_after_tap()
    focus_popovers()
    if name in WITH_CHARTS:
        charts_ahead()
    if name != FIRST:
        session.start_workers()
    _state.inside = True
    try:
        with guard():
            try:
                in_background(partial(import_page, name), "Loading …")
                tour.hint(name)
                chosen.run()
            except StopException:  # the page ended itself with st.stop
                notifications.watch(session.store())
                raise
            session.warm()
            notifications.watch(session.store())
    finally:
        _state.inside = False


def ensure() -> None:
    """Run a page within the navigation; each page calls this first.

    If the first request to a new server is for a page, Streamlit does not know the navigation yet and runs only the
    file of the page.
    """
    script = main_script()
    is_app = script is not None and script.name == "app.py"
    if is_app and not getattr(_state, "inside", False):
        navigate()
        raise StopException  # st.stop() would also drop a click that is waiting for the end of this run


def import_page(name: str = FIRST) -> None:
    """Import the modules and declarations of a page, which takes seconds on a new server."""
    from netloom import layers
    from netloom.data.builtin_registry import builtin

    layers.registry()
    builtin()
    if name in WITH_CHARTS:
        import_module("pandas")
    # What a page declares itself to need, such as the views of explanations.
    getattr(import_module(f"netloom.ui.{name}.page"), "preload", lambda: None)()
