"""What happens as soon as the web server listens: the browser opens, and the modules of the pages are imported.

A new server takes a second of processor time to import them. A browser takes as long to load the scripts of Streamlit,
so the server listens first, and both happen at the same time.
"""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import streamlit as st

from netloom.ui.shell.request_guard import WILDCARDS

if TYPE_CHECKING:
    from streamlit.starlette import App

# The first module that each visit imports: one that comes earlier waits for its import lock, and holds no other.
NAVIGATION = "netloom.ui.shell.navigation"


@asynccontextmanager
async def started(_app: App) -> AsyncIterator[None]:
    """Open the app in the browser unless the server is headless, and import the pages beside it."""
    if not st.get_option("server.headless"):
        threading.Thread(target=webbrowser.open, args=(_url(),), daemon=True).start()
    threading.Thread(target=_import_first_page, name="import", daemon=True).start()
    yield


def _import_first_page() -> None:
    import_module(NAVIGATION).import_page()


def _url() -> str:
    host = str(st.get_option("server.address") or "")
    host = "localhost" if host in WILDCARDS else f"[{host}]" if ":" in host else host
    scheme = "https" if st.get_option("server.sslCertFile") else "http"
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{scheme}://{host}:{st.get_option('server.port')}/{path}"
