"""The time from the click on Explain to the first attributions on the page, in a browser with a warm server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from netloom.cli.bench.browser import open_browser
from netloom.cli.bench.server import Server
from netloom.cli.bench.template_runs import finished_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from netloom.store import Store

BUDGET_S = 1.0
WARM_UP = "digits_mlp"
TIMEOUT_S = 60.0
# A person looks at the results of a run before the click; the page prepares the explanation meanwhile.
LOOK_S = 2.5
# The legend is drawn with the attributions, and charts draw themselves later.
_DRAWN = """
() => {
  const root = document.querySelector('.st-key-explain-layout');
  const legend = /increases the (score|error)|does not give the sign/;
  return Boolean(root) && legend.test(root.textContent)
    && [...root.querySelectorAll('[data-testid=stPlotlyChart]')].every((chart) => chart.querySelector('.main-svg'));
}
"""


@dataclass(frozen=True)
class FirstPicture:
    """The seconds from the click to the attributions of a run of a template."""

    template: str
    seconds: float


def measure_first_pictures(names: Sequence[str], note: Callable[[str], None] = lambda text: None) -> list[FirstPicture]:
    """Train the templates for an epoch each, and open the Explain page of their runs from the Train page.

    Each is opened once, as later openings show explanations that were computed before. Templates without an explainable
    prediction are left out.

    Raises:
        Unmeasured: Playwright or a Chromium is missing.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="netloom-bench-")))
        browser = stack.enter_context(open_browser())
        server = Server(home)
        stack.callback(server.stop)
        note(f"Training {len(names)} templates …")
        runs = _trained(server.store, names)
        server.settle()
        _warm_up(browser, server)
        pictures = []
        for name, (project_id, run_id) in runs.items():
            note(f"Opening {name} …")
            pictures.append(FirstPicture(name, _open(browser, server, project_id, run_id)))
        return pictures


def _warm_up(browser: Browser, server: Server) -> None:
    """Open the first page and the first explanation of a server, with a run that is not measured."""
    for project_id, run_id in _trained(server.store, [WARM_UP]).values():
        _open(browser, server, project_id, run_id)


def _trained(store: Store, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the project and the finished run of each template that can be explained."""
    runs = finished_runs(store, names, 1)
    return {name: ids for name, ids in runs.items() if _is_explained(store, ids[1])}


def _is_explained(store: Store, run_id: str) -> bool:
    from netloom.jobs import RunWeights
    from netloom.jobs.request import Context
    from netloom.jobs.requests.inspection import Inspect

    return any(method.available for method in Inspect(RunWeights(run_id)).compute(Context(store.home)).methods)


def _open(browser: Browser, server: Server, project_id: str, run_id: str) -> float:
    """Return the seconds from the click on Explain until the attributions are visible."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{server.url}/train?project={project_id}&run={run_id}")
    link = page.get_by_role("link", name="Explain", exact=True).first
    link.wait_for(timeout=1000 * TIMEOUT_S)
    page.wait_for_timeout(1000 * LOOK_S)
    start_s = time.perf_counter()
    link.click()
    page.wait_for_function(_DRAWN, timeout=1000 * TIMEOUT_S)
    seconds = time.perf_counter() - start_s
    page.close()
    return seconds
