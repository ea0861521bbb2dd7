"""The canvas as a person uses it: by pointer and keys."""

from __future__ import annotations

import re
from contextlib import suppress

from playwright.sync_api import FloatRect, Locator, Page, TimeoutError, expect

from builder.cli.bench.server import Server
from builder.templates import templates


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
        """Drag a layer from the palette to a place on the surface, in shares of its width and height."""
        item = self.page.locator(f'[data-layer="{layer}"]')
        item.scroll_into_view_if_needed()
        start, box = item.bounding_box(), self.surface.bounding_box()
        assert start is not None
        assert box is not None
        self._drag(
            (start["x"] + 40, start["y"] + start["height"] / 2),
            (box["x"] + box["width"] * x, box["y"] + box["height"] * y),
        )

    def connect(self, source: str, target: str) -> None:
        """Draw an edge from an output to an input, such as "conv2d_1.out" to "relu_1.in"."""
        start = self.port(source, "source").bounding_box()
        end = self.port(target, "target").bounding_box()
        assert start is not None
        assert end is not None
        self._drag(_middle(start), _middle(end))

    def press(self, action: str) -> None:
        self.page.locator(f'[data-action="{action}"]').first.click()

    def settle(self) -> None:
        """Wait until Python has taken and saved everything."""
        expect(self.root).to_have_attribute("data-pending", "0")
        expect(self.page.locator('[data-saved="true"]')).to_be_visible()

    def nodes(self) -> set[str]:
        found = self.page.locator("[data-node]").evaluate_all("list => list.map(item => item.dataset.node)")
        return set(found)

    def _drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        mouse.move(*end, steps=6)
        mouse.up()


def _middle(box: FloatRect) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def new_project(page: Page, server: Server, name: str) -> Canvas:
    """Begin with an empty canvas."""
    page.goto(server.url)
    page.get_by_label("Name of a new project").fill(name)
    page.get_by_role("button", name="New project").click()
    canvas = Canvas(page)
    expect(canvas.root).to_be_visible()
    return canvas


def use_template(page: Page, server: Server, title: str) -> Canvas:
    """Begin with a template."""
    page.goto(server.url)
    name = next(template.name for template in templates().values() if template.title == title)
    # By its key: a card that is still being drawn is not yet the last block that holds the title.
    page.locator(f".st-key-template-{name}").get_by_role("button", name="Use this").click()
    canvas = Canvas(page)
    expect(canvas.root).to_be_visible()
    return canvas


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of one of Streamlit's select boxes. A list that the page closes by moving is opened again."""
    for _ in range(3):
        page.get_by_role("combobox", name=re.compile(label)).first.click()
        with suppress(TimeoutError):
            page.get_by_role("option", name=option).first.click(timeout=5_000)
            return
    raise AssertionError(f"{label} offers no {option}")
