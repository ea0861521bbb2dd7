"""The browser in which the canvas is measured."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

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
    from playwright.sync_api import Error

    on_path = next((found for name in NAMES if (found := shutil.which(name))), None)
    for path in dict.fromkeys((on_path, None)):
        try:
            return playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error:
            continue
    return None
