"""How long an edit on the canvas takes until Python's label is seen, and how smoothly 300 nodes are dragged.

Measured in a real browser on the real app. The promises are 120, 160 and 300 ms at 20, 100 and 300 nodes on a quiet
machine with two cores; run with -s to see the figures. The best of 20 has to keep them, and the median thrice as much,
as the machine may be busy.
"""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from builder import train
from builder.graph import Edge, Network, Node, Project
from builder.templates import templates
from tests.browser.canvas import Canvas
from tests.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]
EDITS = 20
PROMISED_MS = {20: 120, 100: 160, 300: 300}
# Sets a clock going at the next release of the pointer, and stops it when the label of an edge is there.
WATCH = """
(shape) => new Promise((done) => {
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
FRAMES = """
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


def large(nodes: int) -> Project:
    """Columns of linear layers."""
    made: dict[str, Node] = {"input_1": Node(id="input_1", type="Input", at=(0.0, 0.0))}
    edges, before = [], "input_1"
    for number in range(1, nodes):
        key = f"linear_{number}"
        at = (float(260 * (number // 20)), float(110 * (number % 20)))
        made[key] = Node(id=key, type="Linear", params={"units": 16 + number % 5}, at=at)
        edges.append(Edge(source=before, target=key))
        before = key
    return Project(name=f"{nodes} nodes", networks={"main": Network(nodes=made, edges=tuple(edges))})


def opened(page: Page, server: Server, nodes: int) -> Canvas:
    project_id = server.store.create_project(large(nodes))
    page.goto(f"{server.url}/design?project={project_id}")
    canvas = Canvas(page)
    expect(canvas.node("input_1")).to_be_visible()
    expect(canvas.shape("linear_1")).to_be_visible()
    return canvas


def edit(canvas: Canvas, number: int) -> float:
    """Append a layer from the palette. Returns the milliseconds until its edge's shape is seen."""
    watch: Any = canvas.page.evaluate_handle(f"() => ({{ promise: ({WATCH})('tanh_{number}') }})")
    canvas.page.locator('[data-layer="Tanh"]').click()
    took = float(watch.evaluate("(value) => value.promise"))
    canvas.settle()
    return took


@pytest.mark.parametrize("nodes", list(PROMISED_MS))
def test_an_edit_is_seen_soon(page: Page, server: Server, nodes: int) -> None:
    canvas = opened(page, server, nodes)
    canvas.node("input_1").click()
    edit(canvas, 1)
    took = [edit(canvas, number) for number in range(2, EDITS + 2)]
    median = statistics.median(took)
    print(f"\n{nodes} nodes: median {median:.0f} ms, best {min(took):.0f} ms, promised {PROMISED_MS[nodes]} ms")
    assert min(took) <= PROMISED_MS[nodes]
    assert median <= 3 * PROMISED_MS[nodes]


def test_an_edit_sends_little(page: Page, server: Server) -> None:
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    canvas = opened(page, server, 300)
    canvas.node("input_1").click()
    edit(canvas, 1)
    page.wait_for_timeout(1_000)
    sent.clear()
    for number in range(2, 7):
        edit(canvas, number)
    messages = [size for size in sent if size > 200]  # the fragment's own regular look sends a few bytes
    print(f"\n300 nodes: {max(messages):,} bytes in the largest message up, {len(messages)} messages for 5 edits")
    assert max(messages) <= 2_048


def test_the_page_stays_quick_while_a_run_trains(page: Page, server: Server) -> None:
    canvas = opened(page, server, 20)
    canvas.node("input_1").click()
    edit(canvas, 1)
    idle = statistics.median(edit(canvas, number) for number in range(2, 12))
    store = server.store
    project = templates()["digits_mlp"].project
    long = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 10_000})})
    run_id = train.start(store, store.create_project(long), long)
    while not store.points(run_id).step:
        page.wait_for_timeout(100)
    busy = statistics.median(edit(canvas, number) for number in range(12, 22))
    train.stop(store, run_id)
    train.wait(store, run_id, 60)
    print(f"\nwhile a run trains an edit takes {busy / idle:.2f} times as long")
    # Promised is 1.5; what else the machine does comes on top.
    assert busy <= 2.0 * idle


def test_dragging_stays_smooth(page: Page, server: Server) -> None:
    canvas = opened(page, server, 300)
    box = canvas.node("linear_3").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 20)
    page.mouse.down()
    page.evaluate(FRAMES)
    for step in range(90):
        page.mouse.move(box["x"] + 60 + step * 3, box["y"] + 20 + (step % 10) * 4)
    frames = page.evaluate("() => { const found = window.__frames; window.__frames = null; return found; }")
    page.mouse.up()
    per_s = 1000 * len(frames) / sum(frames)
    print(f"\n300 nodes: {per_s:.0f} frames a second over {len(frames)} frames")
    assert per_s >= 25
