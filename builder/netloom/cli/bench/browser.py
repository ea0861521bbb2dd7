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
    """A headless Chromium: the one on the path, else Playwright's own, else None."""
    return started(playwright.chromium.launch)


def started(launch: Callable[..., T]) -> T | None:
    """What a function of Playwright's that launches a Chromium gives for the first one that there is."""
    from playwright.sync_api import Error

    on_path = next((name_path for name in NAMES if (name_path := shutil.which(name))), None)
    for path in dict.fromkeys((on_path, None)):
        try:
            return launch(executable_path=path, args=FLAGS)
        except Error:
            continue
    return None
