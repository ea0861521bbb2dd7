"""The browser in which the canvas is measured."""

from __future__ import annotations

import shutil
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
