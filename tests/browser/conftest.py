"""A browser and a server for the session, and a page whose console must stay free of errors in each test."""

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
from tests.browser.chromium import launch_or_install
from tests.page_server.server import WatchedServer

VIEWPORT = ViewportSize(width=1440, height=900)

# Streamlit requests these relative to the page first, and then at their actual address.
KNOWN = ("_stcore/health", "_stcore/host-config")
# Streamlit's messages while its server is down, as in the tests that kill it.
DISCONNECTED = (
    "WebSocket",
    "disconnected from server",
    "ERR_CONNECTION_REFUSED",
    "server endpoint",
    "not responding",
    "Failed to fetch dynamically imported module",
)

# The machine may be busy; a test that guarantees a time sets its own limit.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as instance:
        yield instance


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """For tests that need the browser of another user."""
    instance = launch_or_install(playwright.chromium.launch)
    yield instance
    instance.close()


@pytest.fixture(scope="session")
def profile(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One profile for all tests of a process, so that each of them reuses the compiled scripts of the app. Animations
    are off, since they take a third of the cost of a page; and the optimizing compilers are off, since they take a
    fourteenth and do not pay off within a test."""

    folder = tmp_path_factory.mktemp("profile")

    def start(args: list[str], **named: Any) -> BrowserContext:
        named["args"] = [*args, "--js-flags=--no-turbofan --no-maglev"]
        return playwright.chromium.launch_persistent_context(
            folder, reduced_motion="reduce", viewport=VIEWPORT, **named
        )

    context = launch_or_install(start)
    context.set_default_timeout(60_000)
    yield context
    with suppress(Error):  # a later test may have ended all child processes
        context.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    instance = WatchedServer(tmp_path_factory.mktemp("home"))
    yield instance
    instance.stop()


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The app, whose log must stay free of errors and of imports of PyTorch during a test; the runs that a test leaves
    are killed."""
    if running.process.poll() is not None:
        running.start()
    before = running.log.stat().st_size
    yield running
    for run in running.store.active_runs():
        if run.pid:
            with suppress(psutil.Error):
                psutil.Process(run.pid).kill()
    log = running.log.read_bytes()[before:].decode()
    assert "Traceback" not in log, log[-4000:]


@pytest.fixture
def mortal_server(server: Server) -> Iterator[Server]:
    """The app, for tests that kill it. They come last, and it is stopped after them: a server that starts again also
    starts its workers again, which takes ten seconds of processor time, and nothing would use them."""
    yield server
    server.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: "mortal_server" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def tab(profile: BrowserContext) -> tuple[Page, list[str]]:
    """The tab of all tests of a process, and its list of problems. A new tab for each test would be a new process that
    reads the scripts of the app again."""
    (first,) = profile.pages
    return first, listen(first)


@pytest.fixture
def page(tab: tuple[Page, list[str]], server: Server) -> Iterator[Page]:
    """A clean tab on the app; a test fails if its console has an error."""
    shared_tab, problems = tab
    problems.clear()
    yield shared_tab
    for extra_tab in shared_tab.context.pages[1:]:
        extra_tab.close()
    shared_tab.mouse.up()  # a test may have failed during a drag
    shared_tab.goto("about:blank")
    storage = {"origin": server.url, "storageTypes": "local_storage,cookies"}
    session = shared_tab.context.new_cdp_session(shared_tab)
    session.send("Storage.clearDataForOrigin", storage)
    session.detach()
    assert not problems, problems


@pytest.fixture
def clipboard(profile: BrowserContext) -> Iterator[None]:
    """Lets pages read and write the system's clipboard."""
    profile.grant_permissions(["clipboard-read", "clipboard-write"])
    yield
    profile.clear_permissions()


def listen(tab: Page) -> list[str]:
    """The list to which the problems of a tab are added from now on."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        known = any(path in message.location.get("url", "") for path in KNOWN)
        if message.type == "error" and not known and not is_disconnection(message.text):
            problems.append(f"{message.text} ({message.location.get('url', '')})")

    def on_error(error: Error) -> None:
        if not is_disconnection(str(error)):
            problems.append(str(error))

    def is_disconnection(text: str) -> bool:
        return any(part in text for part in DISCONNECTED)

    tab.on("console", on_console)
    tab.on("pageerror", on_error)
    return problems
