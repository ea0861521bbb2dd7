"""The time from an edit on the canvas to its label from Python, in a browser with the app, and on another canvas."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from netloom.cli.bench.browser import Unmeasured, open_browser
from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.server import Server
from netloom.document import Edge, Network, Node, Project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

    from netloom.store import Store

# Milliseconds from the release of the pointer until the label of an edit is visible, by the number of nodes.
BUDGET_MS = {20: 120, 100: 160, 300: 300}
# The budget holds for the median of this number of edits.
BUDGET_EDITS = 20
BUDGET_FRAMES = 50
BUDGET_BYTES = 2_048
PEER = Path(__file__).with_name("peer_canvas.py")
PEER_NODES = 100
# After a start, the app prepares the worker of the next run, which takes CPU time.
SETTLE_S = 5.0
SETTLED_S = 0.3
# Starts a stopwatch at the next release of the pointer, and stops it when the label of the edge is in the page.
_WATCH = """
(shape) => new Promise((done, failed) => {
  setTimeout(() => failed(new Error('no answer')), 20000);
  const root = window.__root ??= (() => {
    const find = (node) => {
      if (node.shadowRoot?.querySelector('[data-canvas]')) return node.shadowRoot;
      for (const child of [...(node.shadowRoot?.children ?? []), ...node.children]) {
        const found = find(child);
        if (found) return found;
      }
      return null;
    };
    return find(document.body) ?? document;
  })();
  window.addEventListener('pointerup', () => {
    const start = performance.now();
    const look = () => root.querySelector(`[data-shape="${shape}"]`)
      ? done(performance.now() - start) : requestAnimationFrame(look);
    look();
  }, { once: true, capture: true });
})
"""
_PEER = """
(id) => new Promise((done, failed) => {
  const find = () => document.querySelector(`.react-flow__node[data-id="${id}"]`);
  const start = performance.now();
  const look = () => find()?.textContent.includes('*')
    ? done(performance.now() - start) : requestAnimationFrame(look);
  setTimeout(() => failed(new Error('no answer')), 20000);
  find().dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true, view: window }));
  look();
})
"""
_FRAMES = """
() => {
  const frames = window.__frames = [];
  let last = performance.now();
  const tick = (now) => {
    frames.push(now - last);
    last = now;
    if (window.__frames) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
"""


@dataclass(frozen=True)
class EditTime:
    """The share of its budget that an edit takes, for a number of nodes."""

    nodes: int
    budget_ms: float
    share: Ratio


@dataclass(frozen=True)
class CanvasTimes:
    """The times of edits, the frame rate of a drag, and the size of messages.

    Attributes:
        edits: the times of edits, by the number of nodes.
        peer: the time of an edit on the other canvas, relative to ours.
        training: the time of an edit while a run trains, relative to while it is paused.
        frames: frames per second while a node is dragged.
        sent: bytes of the largest message of an edit.
    """

    edits: list[EditTime]
    peer: Ratio
    training: Ratio
    frames: float
    sent: int


def measure_canvas(repeats: int) -> CanvasTimes:
    """Measure edits against their budgets, and `repeats` edits each against another canvas and during a run.

    Raises:
        Unmeasured: Playwright, a Chromium or the other canvas is missing.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="netloom-bench-")))
        browser = stack.enter_context(open_browser("streamlit_flow"))
        server, peer = stack.enter_context(_serve(home / "ours")), stack.enter_context(_serve(home / "peer", PEER))
        edits = []
        for nodes, budget in BUDGET_MS.items():
            with CanvasTab(browser, server, nodes) as tab:
                server.settle()
                edit_times = [tab.edit() for _ in range(BUDGET_EDITS)]
                edits.append(EditTime(nodes, budget, ratio(edit_times, [budget] * BUDGET_EDITS)))
        with CanvasTab(browser, server, 300) as tab:
            message_bytes = tab.sent(5)
            frame_rate = tab.drag()
        return CanvasTimes(
            edits,
            measure_peer(browser, server, peer, repeats),
            measure_training(browser, server, repeats),
            frame_rate,
            message_bytes,
        )


class CanvasTab:
    """A tab with the Design page of a chain of layers, to which layers are appended."""

    def __init__(self, browser: Browser, server: Server, nodes: int) -> None:
        project_id = server.store.create_project(chain(nodes))
        self.page: Page = browser.new_page(viewport={"width": 1440, "height": 900})
        self._sent: list[int] = []
        self.page.on("websocket", lambda socket: socket.on("framesent", lambda data: self._sent.append(len(data))))
        self.page.goto(f"{server.url}/design?project={project_id}")
        self.page.locator('[data-shape="linear_1"]').wait_for()
        self.page.locator('[data-node="input_1"]').click()
        self._number = 0
        self.edit()  # the first edit of a page is a warm-up

    def __enter__(self) -> CanvasTab:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()

    def edit(self) -> float:
        """Append a layer from the palette. Returns the milliseconds until the shape of its edge is visible."""
        self._number += 1
        stopwatch: Any = self.page.evaluate_handle(f"() => ({{ promise: ({_WATCH})('tanh_{self._number}') }})")
        self.page.locator('[data-layer="Tanh"]').click()
        milliseconds = float(stopwatch.evaluate("(value) => value.promise"))
        self.page.locator('[data-canvas][data-pending="0"]').wait_for()
        self.page.locator('[data-saved="true"]').wait_for()
        return milliseconds

    def sent(self, edits: int) -> int:
        """Return the bytes of the largest message from the browser while layers are appended."""
        self.page.wait_for_timeout(1_000)
        self._sent.clear()  # messages of loading the page and of the first edit
        for _ in range(edits):
            self.edit()
        return max(self._sent)

    def drag(self) -> float:
        """Drag a node around. Returns the frames per second."""
        page = self.page
        box = page.locator("[data-node]").first.bounding_box()  # only visible nodes are in the page
        if box is None:
            raise Unmeasured("The canvas shows no node to drag.")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.evaluate(_FRAMES)
        for step in range(90):
            page.mouse.move(x + step * 3, y + (step % 10) * 4)
        frames: list[float] = page.evaluate(
            "() => { const found = window.__frames; window.__frames = null; return found; }"
        )
        page.mouse.up()
        return 1000 * len(frames) / sum(frames)


def measure_peer(browser: Browser, server: Server, peer: Server, repeats: int) -> Ratio:
    """Return the time of an answer on the other canvas relative to ours, measured in turns, both with 100 nodes."""
    netloom_times, peer_times = [], []
    peer_page = browser.new_page(viewport={"width": 1440, "height": 900})
    with CanvasTab(browser, server, PEER_NODES) as tab:
        peer_page.bring_to_front()
        peer_page.goto(peer.url)
        frame = _peer_frame(peer_page)
        for number in range(repeats + 1):
            # The stopwatches run in animation frames, which a tab in the background does not get.
            peer_page.bring_to_front()
            milliseconds = float(frame.evaluate(_PEER, f"n{number + 1}"))
            peer_page.wait_for_timeout(500)
            tab.page.bring_to_front()
            peer_times.append(milliseconds)
            netloom_times.append(tab.edit())
    peer_page.close()
    return ratio(peer_times[1:], netloom_times[1:])  # the first repeat is a warm-up


def _peer_frame(page: Page) -> Frame:
    page.frame_locator("iframe").first.locator(".react-flow__node").first.wait_for()
    page.wait_for_timeout(2_000)
    return next(frame for frame in page.frames if frame != page.main_frame)


def measure_training(browser: Browser, server: Server, repeats: int) -> Ratio:
    """Return the time of an edit while a run trains relative to while it is paused, measured in turns."""
    from netloom import runs
    from netloom.templates import templates

    store, template = server.store, templates()["digits_mlp"].project
    project = template.model_copy(update={"training": template.training.model_copy(update={"epochs": 10_000})})
    busy: list[float] = []
    idle: list[float] = []
    with CanvasTab(browser, server, 20) as tab:
        run_id = runs.start(store, store.create_project(project), project)
        try:
            deadline = time.monotonic() + 60
            while not store.points(run_id).step and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(SETTLE_S)
            for _ in range(repeats):
                busy.append(tab.edit())
                runs.pause(store, run_id)
                _wait_for_state(store, run_id, "paused")
                idle.append(tab.edit())
                runs.resume_paused(store, run_id)
                _wait_for_state(store, run_id, "running")
        finally:
            runs.stop(store, run_id)
            runs.wait(store, run_id, 60)
    return ratio(busy, idle)


def _wait_for_state(store: Store, run_id: str, state: str) -> None:
    deadline = time.monotonic() + 10
    while store.run(run_id).state != state and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(SETTLED_S)


def chain(nodes: int) -> Project:
    """Return a chain of linear layers, drawn in columns of 20."""
    nodes_by_id: dict[str, Node] = {"input_1": Node(id="input_1", type="Input", at=(0.0, 0.0))}
    edges, previous = [], "input_1"
    for number in range(1, nodes):
        node_id = f"linear_{number}"
        position = (float(260 * (number // 20)), float(110 * (number % 20)))
        nodes_by_id[node_id] = Node(id=node_id, type="Linear", params={"units": 16 + number % 5}, at=position)
        edges.append(Edge(source=previous, target=node_id))
        previous = node_id
    return Project(name=f"{nodes} nodes", networks={"main": Network(nodes=nodes_by_id, edges=tuple(edges))})


@contextmanager
def _serve(home: Path, app: Path | None = None) -> Iterator[Server]:
    home.mkdir()
    server = Server(home, app) if app else Server(home)
    try:
        yield server
    finally:
        server.stop()
