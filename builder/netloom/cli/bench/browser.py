"""The browser in which pages are measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Playwright

T = TypeVar("T")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Unmeasured(RuntimeError):  # noqa: N818  (a missing browser is not an error)
    """A page cannot be measured here; the message says what is missing."""


@contextmanager
def open_browser(*modules: str) -> Iterator[Browser]:
    """Open a headless Chromium for a benchmark that also needs `modules`.

    Raises:
        Unmeasured: a module, Playwright or a Chromium is missing.
    """
    missing = [name for name in ("playwright", *modules) if find_spec(name) is None]
    if missing:
        raise Unmeasured(f"This benchmark needs {' and '.join(missing)}; install them with pip install -e '.[test]'.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium(playwright)
        if browser is None:
            raise Unmeasured("Chromium is missing; install it with playwright install --with-deps chromium.")
        yield browser
        browser.close()


def chromium(playwright: Playwright) -> Browser | None:
    """Return a headless Chromium: that on the path, otherwise that of Playwright, otherwise None."""
    return launch_first(playwright.chromium.launch)


def launch_first(launch: Callable[..., T]) -> T | None:
    """Return the browser that `launch`, a function of Playwright, starts with the first working Chromium, or None."""
    from playwright.sync_api import Error

    on_path = next((name_path for name in NAMES if (name_path := shutil.which(name))), None)
    for path in dict.fromkeys((on_path, None)):
        try:
            return launch(executable_path=path, args=FLAGS)
        except Error:
            continue
    return None
