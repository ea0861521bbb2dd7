"""A Chromium for the tests: one that is there, or else one that is installed now. Never none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache

from playwright.sync_api import Browser, Error, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADVICE = (
    "The browser tests need Chromium, and none could be found or installed: install one "
    "(playwright install --with-deps chromium, or apt-get install chromium) and run the tests again."
)


def launch(playwright: Playwright) -> Browser:
    """A headless Chromium.

    Raises:
        RuntimeError: there is none, and none could be installed; the message says what to do.
    """
    for path in [_on_path(), None]:
        browser = _try(playwright, path)
        if browser:
            return browser
    for command in _installers():
        subprocess.run(command, check=False, capture_output=True, timeout=600)
        browser = _try(playwright, None) or _try(playwright, _on_path())
        if browser:
            return browser
    raise RuntimeError(ADVICE)


@cache
def _on_path() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def _try(playwright: Playwright, path: str | None) -> Browser | None:
    try:
        return playwright.chromium.launch(executable_path=path, args=FLAGS)
    except Error:
        return None


def _installers() -> list[list[str]]:
    _on_path.cache_clear()
    with_playwright = [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        debian = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium"
        return [with_playwright, ["sh", "-c", debian]]
    return [with_playwright]
