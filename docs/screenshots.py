"""Takes the screenshots of these pages: `python docs/screenshots.py`, about three minutes on an idle machine.

It trains a few runs in a temporary data folder, starts the app there and drives a headless Chromium. Look at the
screenshots before you commit them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

PICTURES = Path(__file__).parent / "pages" / "images"
# What the screenshots show; a test compares it with the app, so that they are taken again when it changes.
SHOWN = Path(__file__).parent / "screenshots.json"
SIZE = ViewportSize(width=1440, height=900)
TEMPLATES = (
    "tales_gpt",
    "shapes_unet",
    "intents_transformer",
)  # projects without training; Home lists the last one first
# The runs of the CNN: title, tags and setting.
RUNS = (
    ("Adam, learning rate 0.0003", "search", "learning_rate=0.0003"),
    ("SGD with momentum", "", "optimizer=sgd"),
    ("Batch size 16", "search", "batch_size=16"),
    ("Baseline", "baseline", "seed=0"),
)


class App:
    """A data folder with projects and runs, and the address of its app."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "NETLOOM_HOME": str(home), "OMP_NUM_THREADS": "1"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def netloom(self, *words: str) -> dict[str, object]:
        """Run a command and return its JSON output."""
        command = [sys.executable, "-m", "netloom.cli", *words, "--json"]
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        value: dict[str, object] = json.loads(answer.stdout)
        return value

    def fill(self) -> None:
        """Create the projects and runs of the screenshots."""
        for name in TEMPLATES:
            self._train(name, "--epochs", "0", title="Untrained")
        self._train("breast_cancer", title="Tumors")
        for title, tags, setting in RUNS:
            self._train("digits_cnn", "--set", setting, title=title, tags=tags)

    def _train(self, template: str, *options: str, title: str, tags: str = "") -> None:
        document = self.home / f"{template}.json"
        self.netloom("templates", "--write", template, str(document), "--force")
        run = self.netloom("train", str(document), *options)["run"]
        self.netloom("runs", "describe", str(run), "--title", title, *(["--tags", tags] if tags else []))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the web server until the block ends."""
        command = [sys.executable, "-m", "netloom.cli", "app", "--headless", "--port", str(self.port)]
        server = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait()
            yield
        finally:
            server.terminate()
            server.wait(30)

    def _wait(self) -> None:
        end = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)


def settled(page: Page, seconds: float = 2.0) -> None:
    """Wait until the app has drawn the page."""
    page.wait_for_timeout(500)
    page.wait_for_function("!document.querySelector('[data-test-script-state=running]')", timeout=300_000)
    # On a busy machine, placeholders remain for a while after the script has ended, and jobs show a Cancel button.
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=300_000)
    page.get_by_role("button", name="Cancel", exact=True).first.wait_for(state="hidden", timeout=300_000)
    page.wait_for_timeout(1000 * seconds)


def take(page: Page, name: str) -> None:
    """Write a screenshot of the window as a small PNG."""
    page.mouse.move(1435, 895)  # so that no element is hovered
    page.wait_for_timeout(300)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


def scroll(page: Page, pixels: int) -> None:
    """Scroll the main area of the page."""
    page.mouse.move(900, 600)
    page.mouse.wheel(0, pixels)
    page.wait_for_timeout(600)


def visit(page: Page, app: App, *, dark: bool) -> None:
    """Take the screenshots of a color scheme."""
    suffix = "-dark" if dark else ""
    page.goto(app.url)
    settled(page, 3)
    if not dark:
        take(page, "home")
    page.get_by_role("button", name="Open", exact=True).first.click()
    settled(page, 3)
    page.get_by_text("Conv 2D", exact=True).nth(2).click()  # the second on the canvas, after that of the palette
    settled(page)
    take(page, f"design{suffix}")
    project = page.url.partition("project=")[2]
    for name in ("train",) if dark else ("data", "train"):
        page.goto(f"{app.url}/{name}?project={project}")
        settled(page, 4)
        take(page, f"{name}{suffix}")
    if dark:
        return
    page.goto(f"{app.url}/runs?project={project}")
    settled(page, 3)
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    assert table is not None
    for row in range(len(RUNS)):
        page.mouse.click(table["x"] + 17, table["y"] + 35 * (row + 1.5))
        settled(page, 1)
    settled(page, 2)
    take(page, "runs")
    page.goto(f"{app.url}/explain?project={project}")
    settled(page, 6)
    take(page, "explain")
    page.goto(f"{app.url}/playground?project={project}")
    settled(page, 4)
    row = page.get_by_label("Start from row", exact=True)
    row.fill("1790")
    row.press("Enter")
    settled(page, 3)
    take(page, "playground")
    page.goto(f"{app.url}/deploy?project={project}")
    settled(page, 3)
    page.get_by_role("radio", name="Optimize").click()
    settled(page)
    page.get_by_role("button", name="Measure variants").click()
    settled(page, 4)
    take(page, "deploy")


def shown() -> dict[str, object]:
    """Return what the screenshots show of the app: its pages and the number of layers."""
    from netloom.layers import registry
    from netloom.ui.shell.navigation import PAGES

    return {"pages": [title for title, _ in PAGES.values()], "layers": len(registry())}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="netloom-docs-") as home, sync_playwright() as playwright:
        app = App(Path(home))
        app.fill()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with app.running():
            schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
            for scheme in schemes:
                page = browser.new_page(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
                page.set_default_timeout(300_000)
                visit(page, app, dark=scheme == "dark")
        browser.close()
    SHOWN.write_text(json.dumps(shown(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
