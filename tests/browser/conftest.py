"""A browser and a tab for the session, a server for each file; a test gets the tab as if new, and has to stay silent.

A new tab would compile the whole front end once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from builder.cli.bench.server import Server
from builder.train import ACTIVE
from tests.browser.chromium import launch

# Streamlit itself asks for these relative to the page first, and then where they are.
KNOWN = ("_stcore/health", "_stcore/host-config")
# What Streamlit says while its server is away, as it is in the tests that kill it.
DISCONNECTED = ("WebSocket", "disconnected from server", "ERR_CONNECTION_REFUSED", "server endpoint", "not responding")

# The machine may be busy; where a time is promised, the test says so itself.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("home"))
    yield found
    for run in found.store.runs():
        if run.state in ACTIVE and run.pid:
            with suppress(psutil.Error):
                psutil.Process(run.pid).kill()
    found.stop()
    log = found.log.read_text()
    assert "Traceback" not in log, log[-4000:]


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Iterator[Page]:
    # Nothing that moves is waited for, or drawn by a processor.
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, accept_downloads=True, reduced_motion="reduce"
    )
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(tab: Page, server: Server) -> Iterator[Page]:
    """A tab on the app that keeps nothing from the test before; a test fails where its console had an error."""
    problems: list[str] = []
    heard, thrown = ears(problems)
    tab.on("console", heard)
    tab.on("pageerror", thrown)
    yield tab
    if tab.url.startswith(server.url):
        tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
    tab.goto("about:blank")
    tab.remove_listener("console", heard)
    tab.remove_listener("pageerror", thrown)
    tab.context.clear_cookies()
    assert not problems, problems


def ears(problems: list[str]) -> tuple[Callable[[ConsoleMessage], None], Callable[[Error], None]]:
    """Two that listen to a tab, for what its console says and for what it throws, and note what goes wrong."""

    def hear(message: ConsoleMessage) -> None:
        known = any(path in message.location.get("url", "") for path in KNOWN)
        away = any(text in message.text for text in DISCONNECTED)
        if message.type == "error" and not known and not away:
            problems.append(f"{message.text} ({message.location.get('url', '')})")

    return hear, lambda error: problems.append(str(error))


def listen(tab: Page) -> list[str]:
    """What goes wrong in a tab from now on."""
    problems: list[str] = []
    heard, thrown = ears(problems)
    tab.on("console", heard)
    tab.on("pageerror", thrown)
    return problems
