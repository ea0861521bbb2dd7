"""The canvas as a user operates it: by mouse and keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from playwright.sync_api import FloatRect, Locator, Page, TimeoutError, expect

from netloom.cli.bench.server import Server
from netloom.document import Project, blank
from netloom.templates import templates

# Waits until neither the view nor a layer on the canvas moves.
STILL = """
(root) => new Promise((done) => {
  let before = "", same = 0;
  const look = () => {
    const items = [...root.querySelectorAll(".nl-surface, [data-node], [data-layer]")];
    const boxes = items.map((item) => item.getBoundingClientRect());
    const now = boxes.map((box) => [box.x, box.y, box.width, box.height].map(Math.round).join()).join(" ");
    same = now === before ? same + 1 : 0;
    before = now;
    if (same < 4) setTimeout(look, 25);
    else requestAnimationFrame(() => done());
  };
  look();
})
"""


class Canvas:
    """The canvas on the design page of a tab."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator("[data-canvas]")
        self.surface = page.locator(".nl-surface")

    def node(self, node: str) -> Locator:
        return self.page.locator(f'[data-node="{node}"]')

    def port(self, reference: str, side: str) -> Locator:
        return self.page.locator(f'[data-port="{reference}"][data-side="{side}"]')

    def shape(self, target: str) -> Locator:
        """The label of the edge that leads to a port."""
        return self.page.locator(f'[data-shape="{target}"]')

    def drag_layer(self, layer: str, x: float, y: float) -> None:
        """Drag a layer from the palette to a position on the surface, in fractions of its width and height."""
        self.still()
        drawn = self.page.locator("[data-node]")
        count = drawn.count()
        item = self.page.locator(f'[data-layer="{layer}"]')
        # The list may still move when a recent layer is added; this waits until the pointer is on the layer itself.
        item.hover(position={"x": 40, "y": 8})
        box = self.surface.bounding_box()
        assert box is not None
        mouse, end = self.page.mouse, (box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        mouse.down()
        mouse.move(end[0] - 40, end[1] - 20, steps=4)
        mouse.move(*end, steps=6)
        mouse.up()
        expect(drawn.nth(count)).to_be_attached()

    def connect(self, source: str, target: str) -> None:
        """Draw an edge from an output to an input, such as "conv2d_1.out" to "relu_1.in"."""
        self.settle()  # ports move when Python's reply changes those of a layer
        self.still()
        port = self.port(target, "target")
        start, end = self.port(source, "source").bounding_box(), port.bounding_box()
        assert start is not None
        assert end is not None
        mouse, (x, y) = self.page.mouse, _middle(end)
        mouse.move(*_middle(start))
        mouse.down()
        mouse.move((_middle(start)[0] + x) / 2, (_middle(start)[1] + y) / 2, steps=4)
        mouse.move(x, y, steps=6)
        expect(port).to_contain_class("connectingto")  # as a person does, release when the port lights up
        mouse.up()
        expect(self.page.locator(f'[data-edge="{target.removesuffix(".in")}"]')).to_have_count(1)

    def still(self) -> None:
        """Wait until nothing moves, so that positions are valid for a drag."""
        self.root.evaluate(STILL)

    def press(self, action: str) -> None:
        self.page.locator(f'[data-action="{action}"]').first.click()

    def settle(self) -> None:
        """Wait until Python has applied and saved every edit."""
        expect(self.root).to_have_attribute("data-pending", "0")
        expect(self.page.locator('[data-saved="true"]')).to_be_visible()

    def nodes(self) -> set[str]:
        node_ids = self.page.locator("[data-node]").evaluate_all("list => list.map(item => item.dataset.node)")
        return set(node_ids)


def _middle(box: FloatRect) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def new_project(page: Page, server: Server, name: str, *, by_hand: bool = False) -> Canvas:
    """Start with an empty canvas; `by_hand` uses the home page, which is slow to draw all its cards."""
    if by_hand:
        page.goto(server.url)
        page.get_by_label("Name of a new project").fill(name)
        page.get_by_role("button", name="New project").click()
        return _wait_for_canvas(page, [])
    return _open_design_page(page, server, blank(name))


def use_template(page: Page, server: Server, title: str, *, by_hand: bool = False) -> Canvas:
    """Start with a template; `by_hand` uses its card on the home page."""
    template = next(template for template in templates().values() if template.title == title)
    if by_hand:
        page.goto(server.url)
        search = page.get_by_label("Search", exact=True)
        search.fill(title)
        search.press("Enter")
        # By its key: while a card is being drawn, it is not yet the last block that contains the title.
        page.locator(f".st-key-template-{template.name}").get_by_role("button", name="Use template").click()
        return _wait_for_canvas(page, list(template.project.main_network.nodes))
    return _open_design_page(page, server, template.project)


def _open_design_page(page: Page, server: Server, project: Project) -> Canvas:
    page.goto(f"{server.url}/design?project={server.store.create_project(project)}")
    return _wait_for_canvas(page, list(project.main_network.nodes))


def _wait_for_canvas(page: Page, nodes: list[str]) -> Canvas:
    canvas = Canvas(page)
    expect(canvas.root).to_be_visible(timeout=60_000)  # the first page of a server imports many modules
    # The canvas appears before its layers, and the layers before the view has settled.
    for node in nodes:
        expect(canvas.node(node)).to_be_visible()
    canvas.still()
    return canvas


def choose(page: Page, label: str, option: str) -> None:
    """Select an option of a Streamlit select box.

    On a busy machine, a click just after the list has opened may leave it open without selecting anything, and the
    page may close it by moving. So this selects again until the list is gone.
    """
    listed = page.get_by_role("option", name=option).first
    for _ in range(5):
        if not listed.is_visible():
            page.get_by_role("combobox", name=re.compile(label)).first.click()
        with suppress(TimeoutError):
            listed.click(timeout=5_000)
            listed.wait_for(state="hidden", timeout=5_000)
            return
    raise AssertionError(f"{label} offers no {option}, or does not take it")


def use_data(canvas: Canvas, option: str) -> None:
    """Select the data of the project, and wait until the canvas has it: new inputs take their parameters from it."""
    canvas.settle()
    before = canvas.root.get_attribute("data-revision") or ""
    expect(canvas.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    choose(canvas.page, "Data", option)
    expect(canvas.root).not_to_have_attribute("data-revision", before)
    # The parameters of an Input come with the palette, which the canvas requests once it knows the data.
    for _ in range(2):
        expect(canvas.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        canvas.page.wait_for_timeout(250)
    canvas.settle()


def until(page: Page, holds: Callable[[], bool], within_s: float = 60) -> None:
    """Wait until a condition holds, while the page keeps running."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"not within {within_s:.0f} s"
        page.wait_for_timeout(50)
