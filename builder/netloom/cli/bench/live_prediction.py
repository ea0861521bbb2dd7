"""The time from the last keystroke on the Try it page to the prediction, in a browser with a warm server."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from netloom.cli.bench.browser import open_browser
from netloom.cli.bench.server import Server
from netloom.cli.bench.template_runs import finished_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

BUDGET_MS = 300
TIMEOUT_S = 60.0
EDITOR, RESULTS = ".st-key-try-editor", ".st-key-try-result, [class*=st-key-try-latent-images]"
# Notes when the server last sent something: a computation that changes nothing is seen by its messages alone.
_OBSERVE_MESSAGES = """
window.tryItTimes = { edited: 0, changed: 0, received: 0 };
window.WebSocket = class extends WebSocket {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", () => { window.tryItTimes.received = performance.now(); });
  }
};
"""
# Notes when a person last did something, and when the results last changed. Only what a person does is trusted: the
# page presses Enter itself after a pause. A canvas contains a copy for screen readers, which changes later than what it
# shows.
_OBSERVE = """
(results) => {
  const times = window.tryItTimes;
  const isResult = (node) => {
    const element = node.nodeType === 1 ? node : node.parentElement;
    return element?.closest(results) && !element.closest("canvas");
  };
  for (const kind of ["input", "keydown", "pointerup"]) {
    document.addEventListener(kind, (event) => { if (event.isTrusted) times.edited = performance.now(); }, true);
  }
  new MutationObserver((changes) => {
    if (changes.some(({ target }) => isResult(target))) times.changed = performance.now();
  }).observe(document.body, { childList: true, characterData: true, subtree: true, attributeFilter: ["src"] });
}
"""
# The page has computed since the edit, and nothing has changed for half a second.
_SETTLED = """
() => {
  const { edited, changed, received } = window.tryItTimes;
  const state = document.querySelector("[data-testid=stApp]").dataset.testScriptState;
  const last = Math.max(received, changed);
  return last > edited && state === "notRunning" && performance.now() - last > 500;
}
"""
# Without a change, the prediction is the same, and it is known when the server has sent it.
_ELAPSED = "() => { const t = window.tryItTimes; return (t.changed > t.edited ? t.changed : t.received) - t.edited; }"


@dataclass(frozen=True)
class LivePredictionTime:
    """The milliseconds from the last keystroke, or the end of a stroke, to the prediction: the median and the largest
    of several edits. `edit` is what was edited."""

    template: str
    edit: str
    median_ms: float | None
    largest_ms: float | None


def measure_live_predictions(
    names: Sequence[str], edits: int, note: Callable[[str], None] = lambda text: None
) -> list[LivePredictionTime]:
    """Open the Try it page of a run of each template, which was not trained, and edit its input.

    The first edit of each page, which loads the network, is not measured.

    Raises:
        Unmeasured: Playwright or a Chromium is missing.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="netloom-bench-")))
        browser = stack.enter_context(open_browser())
        server = Server(home)
        stack.callback(server.stop)
        note(f"Preparing {len(names)} templates …")
        # The speed of a prediction does not depend on the weights.
        runs = finished_runs(server.store, names, 0)
        server.settle()
        times = []
        for name, (project_id, run_id) in runs.items():
            note(f"Editing {name} …")
            times.append(
                measure_edits(browser, f"{server.url}/playground?project={project_id}&run={run_id}", name, edits)
            )
        return times


def measure_edits(browser: Browser, address: str, name: str, edits: int) -> LivePredictionTime:
    """Return the time of the predictions for edits of the input on the Try it page of a run; without numbers if none
    follows an edit within `TIMEOUT_S`."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(1000 * TIMEOUT_S)
    page.add_init_script(_OBSERVE_MESSAGES)
    page.goto(address)
    page.locator(RESULTS).first.wait_for()
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
    )
    page.evaluate(_OBSERVE, RESULTS)
    title, edit = _editing(page)
    times = []
    try:
        for number in range(edits + 1):
            edit(number)
            page.wait_for_function(_SETTLED)
            times.append(float(page.evaluate(_ELAPSED)))
    except PlaywrightTimeoutError:  # the other templates are still measured
        return LivePredictionTime(name, title, None, None)
    finally:
        page.close()
    return LivePredictionTime(name, title, statistics.median(times[1:]), max(times[1:]))


def _editing(page: Page) -> tuple[str, Callable[[int], None]]:
    """Return what can be edited on the page, and the function that edits it for the n-th time."""
    page.locator(", ".join(selector for selector, _ in _WAYS.values())).first.wait_for()
    for title, (selector, edit) in _WAYS.items():
        if page.locator(selector).count():
            return title, partial(edit, page, page.locator(selector).first)
    raise LookupError(f"Nothing can be edited at {page.url}.")


def _type_word(page: Page, place: Locator, number: int) -> None:
    place.press("End")
    place.press_sequentially(f" the{'abcdefghij'[number % 10]}", delay=20)


def _type_number(page: Page, place: Locator, number: int) -> None:
    place.press("Control+A")
    place.press_sequentially(str(11 + number), delay=20)


def _stroke(page: Page, place: Locator, number: int) -> None:
    """Draw a line, and erase it again with the next edit: a line that is there already would change nothing."""
    place.scroll_into_view_if_needed()
    if number:
        page.locator(f"{EDITOR} button[data-part=erase]").first.click()  # switches between drawing and erasing
    box = place.bounding_box()
    if box is None:
        raise LookupError("The drawing canvas is not visible.")
    y = box["y"] + box["height"] * (0.15 + 0.1 * (number // 2 % 8))
    page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], y, steps=4)
    page.mouse.up()


def _type_cell(page: Page, place: Locator, number: int) -> None:
    for row in (number + 1, number):  # the first click gives the focus to the table alone
        place.click(position={"x": 120, "y": 55 + 35 * (row % 6)}, force=True)
        page.wait_for_timeout(300)
    # Opens the editor, which the browser loads with the first edit, and which would miss what is typed before
    page.keyboard.press("Enter")
    page.locator("#portal input").first.wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type(f"{1 + number}.5", delay=20)
    page.keyboard.press("Enter")


def _choose(page: Page, place: Locator, number: int) -> None:
    place.click()
    page.locator("[role=option][aria-selected=false]").first.click()


def _slide(page: Page, place: Locator, number: int) -> None:
    place.press("ArrowRight")


def _type_row(page: Page, place: Locator, number: int) -> None:
    _type_number(page, place, number)
    place.press("Enter")


# What can be edited, the best first: its place on the page, and how a person edits it
_WAYS: dict[str, tuple[str, Callable[[Page, Locator, int], None]]] = {
    "text": (f"{EDITOR} textarea", _type_word),
    "number": (f"{EDITOR} [data-testid=stNumberInput] input", _type_number),
    "drawing": (f"{EDITOR} canvas[data-part=canvas]", _stroke),
    "cell": (f"{EDITOR} [data-testid=stDataFrame] canvas", _type_cell),
    "choice": (f"{EDITOR} [data-testid=stSelectbox] input", _choose),
    "slider": ("[data-testid=stSlider] [role=slider]", _slide),
    "row": ("[data-testid=stNumberInput] input", _type_row),  # a sound is uploaded or recorded, not typed
}
