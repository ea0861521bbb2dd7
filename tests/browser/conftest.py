"""A browser and a server for the session, and a page that has to stay silent in each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    ViewportSize,
    expect,
    sync_playwright,
)

from netloom.cli.bench.server import Server
from tests.browser.chromium import launched

VIEWPORT = ViewportSize(width=1440, height=900)

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
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """For tests that need a browser of somebody else."""
    found = launched(playwright.chromium.launch)
    yield found
    found.close()


@pytest.fixture(scope="session")
def profile(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One for all tests of a process: what it compiled of the app once need not be compiled for each of them. Things
    that move by themselves stand still, as to draw them takes a third of what a page costs; and scripts are not
    optimised again for each page, which takes a fourteenth and does not pay within a test."""

    folder = tmp_path_factory.mktemp("profile")

    def start(args: list[str], **named: Any) -> BrowserContext:
        named["args"] = [*args, "--js-flags=--no-turbofan --no-maglev"]
        return playwright.chromium.launch_persistent_context(
            folder, reduced_motion="reduce", viewport=VIEWPORT, **named
        )

    found = launched(start)
    found.set_default_timeout(60_000)
    yield found
    with suppress(Error):  # a test after these may have ended all that its process had started
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


@pytest.fixture(scope="session")
def tab(profile: BrowserContext) -> tuple[Page, list[str]]:
    """The tab of all tests of a process, and what goes wrong in it. A new one for each would be a process that reads
    the app's scripts anew."""
    (first,) = profile.pages
    return first, listen(first)


@pytest.fixture
def page(tab: tuple[Page, list[str]], server: Server) -> Iterator[Page]:
    """A tab on the app that knows of no other; a test fails where its console had an error."""
    found, problems = tab
    problems.clear()
    yield found
    for opened in found.context.pages[1:]:
        opened.close()
    found.mouse.up()  # a test may have failed amid a drag
    found.goto("about:blank")
    known = {"origin": server.url, "storageTypes": "local_storage,cookies"}
    session = found.context.new_cdp_session(found)
    session.send("Storage.clearDataForOrigin", known)
    session.detach()
    assert not problems, problems


@pytest.fixture
def clipboard(profile: BrowserContext) -> Iterator[None]:
    """Lets pages read and write the system's clipboard."""
    profile.grant_permissions(["clipboard-read", "clipboard-write"])
    yield
    profile.clear_permissions()


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
