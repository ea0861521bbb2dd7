"""A Chromium for the tests: an existing one, or else one that is installed now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from netloom.cli.bench.browser import launch_first

T = TypeVar("T")

ADVICE = (
    "The browser tests need Chromium, and none could be found or installed: install one "
    "(playwright install --with-deps chromium, or apt-get install chromium) and run the tests again."
)


def launch_or_install(launch: Callable[..., T]) -> T:
    """Call a function of Playwright that launches a Chromium, and install a Chromium if none is found.

    Raises:
        RuntimeError: There is no Chromium, and none could be installed; the message says what to do.
    """
    browser = launch_first(launch)
    for command in [] if browser else _installers():
        subprocess.run(command, check=False, capture_output=True, timeout=600)
        browser = launch_first(launch)
        if browser:
            break
    if browser is None:
        raise RuntimeError(ADVICE)
    return browser


def _installers() -> list[list[str]]:
    with_playwright = [sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        debian = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium"
        return [with_playwright, ["sh", "-c", debian]]
    return [with_playwright]
