"""A browser and a server for the session, and a page for each test that has to stay silent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from builder.cli.bench.server import Server
from tests.browser.chromium import launch

# Streamlit itself asks for these relative to the page first, and then where they are.
KNOWN = ("_stcore/health", "_stcore/host-config")
# What Streamlit says while its server is away, as it is in the tests that kill it.
DISCONNECTED = (
    "WebSocket",
    "disconnected from server",
    "ERR_CONNECTION_REFUSED",
    "server endpoint",
    "not responding",
    "Failed to fetch dynamically imported module",
)

# The machine may be busy; where a time is promised, the test says so itself.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("home"))
    yield found
    found.stop()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The app, whose log a test must not fill with errors; the runs that it leaves are ended."""
    before = running.log.stat().st_size
    yield running
    for run in running.store.active_runs():
        if run.pid:
            with suppress(psutil.Error):
                psutil.Process(run.pid).kill()
    log = running.log.read_bytes()[before:].decode()
    assert "Traceback" not in log, log[-4000:]


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab on the app; a test fails where its console had an error."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(60_000)
    tab = context.new_page()
    problems = listen(tab)
    yield tab
    context.close()
    assert not problems, problems


def listen(tab: Page) -> list[str]:
    """What goes wrong in a tab from now on."""
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        known = any(path in message.location.get("url", "") for path in KNOWN)
        if message.type == "error" and not known and not away(message.text):
            problems.append(f"{message.text} ({message.location.get('url', '')})")

    def fail(error: Error) -> None:
        if not away(str(error)):
            problems.append(str(error))

    def away(text: str) -> bool:
        return any(part in text for part in DISCONNECTED)

    tab.on("console", hear)
    tab.on("pageerror", fail)
    return problems
