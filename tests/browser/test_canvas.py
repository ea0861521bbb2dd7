"""Interaction with the canvas: multiple selection, focus, clipboard, other pages, and speed with 300 layers."""

from __future__ import annotations

import itertools
import json
import math
import re

import pytest
from playwright.sync_api import CDPSession, Page, expect

from netloom.cli.bench.server import Server
from netloom.document import Project, loads
from netloom.layers import registry
from tests.browser.canvas import Canvas, new_project, use_data, use_template

pytestmark = pytest.mark.browser

# Search terms for layers, and the layer that the palette then shows first.
FIRST = {
    "fully connected": "Linear",
    "dense": "Linear",
    "classifier": "Linear",
    "skip": "ResidualBlock",
    "residual": "ResidualBlock",
    "concatenate": "Concat",
    "normalise": "BatchNorm1d",
    "normalize": "BatchNorm1d",
    "attention": "MultiHeadAttention",
    "mamba": "Mamba",
    "pool": "MaxPool2d",
    "upsample": "Upsample",
}

# The element with the focus, inside the shadow root of the component.
FOCUS = "() => { let e = document.activeElement; while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement; "
FOCUS += "return e?.className; }"


def selected_nodes(page: Page) -> set[str]:
    nodes = page.locator(".react-flow__node.selected [data-node]")
    return set(nodes.evaluate_all("list => list.map(item => item.dataset.node)"))


def center_of(canvas: Canvas, node: str) -> tuple[float, float]:
    box = canvas.node(node).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=6)
    page.mouse.up()


def test_multiple_layers_are_selected_by_shift_control_and_box(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Digits with an MLP")
    canvas.node("input_1").click()
    canvas.node("flatten_1").click(modifiers=["Control"])
    expect(page.locator(".react-flow__node.selected")).to_have_count(2)
    canvas.node("linear_1").click(modifiers=["Shift"])
    expect(page.locator(".react-flow__node.selected")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator(".react-flow__node.selected")).to_have_count(0)
    box = canvas.surface.bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    drag(page, (box["x"] + 30, box["y"] + 10), (box["x"] + box["width"] - 30, box["y"] + box["height"] * 0.5))
    page.keyboard.up("Shift")
    chosen = page.locator(".react-flow__node.selected")
    for node in ("input_1", "flatten_1"):
        expect(chosen.locator(f'[data-node="{node}"]')).to_be_visible()
    count = len(selected_nodes(page))
    page.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    canvas.press("select")
    drag(page, (box["x"] + 30, box["y"] + 10), (box["x"] + box["width"] - 30, box["y"] + box["height"] * 0.5))
    expect(chosen).to_have_count(count)


def test_canvas_keeps_the_focus_after_escape_buttons_and_fixes(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Focus")
    canvas.press("add-input")
    canvas.node("input_1").click()
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUS) == "nl-wrapper"
    canvas.press("undo")
    expect(page.locator('[data-action="undo"]')).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Control+Shift+z")
    expect(canvas.node("input_1")).to_be_visible()
    canvas.press("issues")
    page.locator('[data-issues] [data-action="fix"]').first.click()
    assert page.evaluate(FOCUS) == "nl-wrapper"
    page.keyboard.press("Escape")
    expect(page.locator("[data-issues]")).to_have_count(0)
    page.keyboard.press("a")
    expect(page.locator("[data-menu]")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUS) == "nl-wrapper"
    assert page.get_by_role("dialog").count() == 0  # c and a are keyboard shortcuts of Streamlit, too


def test_palette_works_by_keyboard(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Palette")
    page.locator('[data-action="search"]').focus()
    page.keyboard.type("relu")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(canvas.node("leakyrelu_1")).to_be_visible()
    box = page.locator('[data-layer="ReLU"]').bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 200, steps=5)
    expect(page.locator(".nl-drag-preview")).to_be_visible()
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(".nl-drag-preview")).to_have_count(0)
    assert canvas.nodes() == {"leakyrelu_1"}


@pytest.mark.usefixtures("clipboard")
def test_copy_and_paste_use_the_system_clipboard(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    expect(canvas.node("linear_1")).to_be_visible()
    canvas.surface.click(position={"x": 20, "y": 300})
    page.keyboard.press("n")
    expect(page.locator("[data-note] textarea")).to_be_focused()
    page.keyboard.type("Remark")
    page.keyboard.press("Escape")
    count = len(canvas.nodes())
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    for times in (2, 3):
        page.keyboard.press("Control+v")
        expect(page.locator("[data-node]")).to_have_count(times * count)
        expect(page.locator("[data-note]")).to_have_count(times)
    places = page.locator(".react-flow__node-layer").evaluate_all("list => list.map(item => item.style.transform)")
    assert len(set(places)) == 3 * count
    canvas.settle()
    for text in ('{"netloom":1,"nodes":null,"edges":[]}', '{"netloom":1,"nodes":{"a":5},"edges":[null]}', "Hello"):
        page.evaluate("text => navigator.clipboard.writeText(text)", text)
        page.keyboard.press("Control+z")
        expect(page.locator("[data-node]")).to_have_count(2 * count)
        page.keyboard.press("Control+v")  # the clipboard no longer holds what this tab copied
        expect(page.get_by_role("status").get_by_text("There are no copied layers on the clipboard.")).to_be_visible()
        expect(page.locator("[data-node]")).to_have_count(2 * count)
        page.keyboard.press("Control+Shift+z")


def test_dropping_a_layer_on_an_edge_is_one_undo_step(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    canvas.drag_layer("Dropout", 0.85, 0.3)
    canvas.settle()
    canvas.still()
    label = canvas.shape("tanh_1").bounding_box()
    assert label is not None
    drag(page, center_of(canvas, "dropout_1"), (label["x"] + label["width"] / 2, label["y"] + label["height"] / 2))
    expect(canvas.shape("dropout_1")).to_have_text("(N, 64)")
    canvas.settle()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(canvas.shape("dropout_1")).to_have_count(0)
    expect(canvas.shape("tanh_1")).to_be_visible()


def test_new_ports_of_a_layer_can_be_connected(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Ports")
    use_data(canvas, "Handwritten digits")
    canvas.drag_layer("Input", 0.4, 0.1)
    canvas.drag_layer("Add", 0.4, 0.5)
    canvas.connect("input_1.out", "add_1.a")
    canvas.connect("input_1.out", "add_1.b")
    expect(canvas.shape("add_1.b")).to_be_visible()
    canvas.settle()
    canvas.node("add_1").click()
    count = page.get_by_role("spinbutton", name="Count")
    count.fill("4")
    count.press("Enter")
    expect(canvas.port("add_1.d", "target")).to_be_visible()
    canvas.connect("input_1.out", "add_1.d")
    expect(canvas.shape("add_1.d")).to_have_text("(N, 1, 8, 8)")
    port, path = canvas.port("add_1.a", "target"), page.locator('[data-edge="add_1.a"]')
    port_box, path_box = port.bounding_box(), path.bounding_box()
    assert port_box is not None
    assert path_box is not None
    # The edge ends at the new position of the port.
    assert abs(port_box["x"] + port_box["width"] / 2 - path_box["x"]) < 8


def test_canvas_shows_edits_made_while_on_another_page(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Left")
    canvas.drag_layer("Input", 0.5, 0.1)
    canvas.settle()
    canvas.node("input_1").click()
    expect(page.locator("code", has_text="input_1")).to_be_visible()  # in the inspector
    url = page.url
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_label("Name of a new project")).to_be_visible()
    second_canvas = Canvas(page.context.new_page())
    second_canvas.page.goto(url)
    expect(second_canvas.node("input_1")).to_be_visible()
    second_canvas.drag_layer("Linear", 0.5, 0.5)
    second_canvas.settle()
    page.get_by_role("link", name="Design").click()
    expect(canvas.node("linear_1")).to_be_visible()
    assert selected_nodes(page) == {"input_1"}
    expect(page.locator("code", has_text="input_1")).to_be_visible()


@pytest.mark.long
def test_snapshots_wait_for_the_end_of_a_drag(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Busy")
    use_data(canvas, "Handwritten digits")
    canvas.drag_layer("Input", 0.4, 0.2)
    canvas.drag_layer("Linear", 0.4, 0.6)
    canvas.settle()
    second_canvas = Canvas(page.context.new_page())
    second_canvas.page.goto(page.url)
    expect(second_canvas.node("linear_1")).to_be_visible()
    canvas.still()
    x, y = center_of(canvas, "input_1")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 20, steps=5)
    second_canvas.node("linear_1").click()
    second_canvas.page.keyboard.press("Delete")
    second_canvas.settle()
    page.wait_for_timeout(3000)  # this tab polls every two seconds
    expect(canvas.node("linear_1")).to_be_visible()
    page.mouse.up()
    expect(canvas.node("linear_1")).to_have_count(0)
    canvas.settle()
    read_transform = "item => item.closest('.react-flow__node').style.transform"
    moved = str(canvas.node("input_1").evaluate(read_transform))
    expect(second_canvas.page.locator(".react-flow__node-layer")).to_have_attribute(
        "style", re.compile(re.escape(moved))
    )


def test_layer_help_follows_selection_and_palette(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Digits with an MLP")
    panel = page.locator("[data-about]")
    canvas.node("linear_1").click()
    page.keyboard.press("i")
    expect(panel).to_contain_text("y = xWᵀ + b")
    expect(panel.locator("svg")).to_contain_text(canvas.shape("linear_1").inner_text())
    expect(panel.get_by_role("link")).to_have_attribute("href", registry()["Linear"].url)
    canvas.node("flatten_1").click()  # the help follows the selection
    expect(panel).to_have_attribute("data-about", "Flatten")
    expect(panel).to_contain_text(" ".join((registry()["Flatten"].__doc__ or "").split()))
    page.keyboard.press("i")
    expect(panel).to_have_count(0)
    page.locator('[data-layer="ReLU"]').focus()
    page.keyboard.press("i")
    expect(panel).to_contain_text(" ".join((registry()["ReLU"].__doc__ or "").split()))


def test_palette_supports_synonyms_favorites_and_compatible_layers(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Digits with an MLP")
    search, first = page.locator('[data-action="search"]'), page.locator("[data-layer]").first
    for query, layer in FIRST.items():
        search.fill(query)
        expect(first).to_have_attribute("data-layer", layer)
    page.keyboard.press("Escape")
    page.locator('[data-layer="Conv2d"]').focus()
    page.keyboard.press("s")
    expect(page.locator('[data-favourite="Conv2d"]')).to_be_visible()
    canvas.node("input_1").click()
    expect(page.locator('[data-fits="input_1"]')).to_be_visible()
    page.locator('[data-action="only-fitting"]').click()
    expect(page.locator('[data-layer="Conv2d"]')).to_have_count(1)
    expect(page.locator('[data-layer="Input"]')).to_have_count(0)  # it has no input port
    page.locator('[data-action="only-fitting"]').click()
    page.locator('[data-fit="Conv2d"]').click()
    expect(canvas.shape("conv2d_1")).to_be_visible()
    canvas.settle()


def test_layers_align_and_move_with_their_frame(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    canvas.settle()
    read_transform = "item => item.closest('.react-flow__node').style.transform"
    before = {node: canvas.node(node).evaluate(read_transform) for node in ("tanh_1", "linear_2")}
    canvas.node("tanh_1").click()
    page.keyboard.press("Alt+ArrowLeft")
    canvas.node("linear_2").click(modifiers=["Control"])
    canvas.press("align-left")
    canvas.settle()
    lefts = [box["x"] for box in (canvas.node(node).bounding_box() for node in before) if box]
    assert abs(lefts[0] - lefts[1]) < 1
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    for node, transform in before.items():
        expect(
            canvas.node(node).locator("xpath=ancestor::*[contains(@class, 'react-flow__node-layer')]")
        ).to_have_attribute("style", re.compile(re.escape(str(transform))))
    page.keyboard.press("g")
    expect(page.get_by_label("Title of the frame")).to_be_focused()
    page.keyboard.type("Stem")
    page.keyboard.press("Enter")
    head = page.locator(".nl-frame-head")
    expect(head).to_contain_text("Stem")
    # The color buttons are above the layers, although the frame is below them.
    above = canvas.node("linear_1").bounding_box()
    color_buttons = page.get_by_role("group", name="Color").bounding_box()
    assert above is not None
    assert color_buttons is not None
    assert color_buttons["y"] < above["y"] + above["height"]
    page.locator('[data-color="purple"]').click()
    expect(page.locator('[data-color="purple"]')).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+z")
    start, inside = head.bounding_box(), canvas.node("tanh_1").bounding_box()
    assert start is not None
    assert inside is not None
    grip = (start["x"] + start["width"] - 12, start["y"] + 8)
    drag(page, grip, (grip[0] + 170, grip[1] + 6))
    canvas.settle()
    end, moved = head.bounding_box(), canvas.node("tanh_1").bounding_box()
    assert end is not None
    assert moved is not None
    assert end["x"] - start["x"] > 60
    assert abs(moved["x"] - inside["x"] - end["x"] + start["x"]) < 2
    page.locator("[data-fold]").click()
    expect(canvas.node("tanh_1")).to_have_count(0)
    expect(page.locator("[data-frame]")).to_contain_text("2 layers")
    expect(canvas.shape("linear_3")).to_have_count(1)
    page.locator("[data-fold]").click()
    expect(canvas.node("tanh_1")).to_be_visible()
    for _ in ("unfolded", "folded"):
        page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")  # the drag of the frame and its content was one step
    expect(
        canvas.node("tanh_1").locator("xpath=ancestor::*[contains(@class, 'react-flow__node-layer')]")
    ).to_have_attribute("style", re.compile(re.escape(str(before["tanh_1"]))))


def test_canvas_swaps_inputs_exports_images_and_tabs_nodes(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Digits with a small ResNet")
    page.locator('[data-tab="basic"] [role=tab]').click()
    expect(canvas.node("add_1")).to_be_visible()
    # The skip connection is routed around the layers between its ends, not behind them.
    skip, layer = page.locator('[data-edge="add_1.b"]').bounding_box(), canvas.node("conv2d_1").bounding_box()
    assert skip is not None
    assert layer is not None
    assert skip["x"] + skip["width"] > layer["x"] + layer["width"] or skip["x"] < layer["x"]
    canvas.node("add_1").click(button="right")
    page.locator('[data-item="exchange-a-b"]').click()
    canvas.settle()
    edges = server.store.load(server.store.list_projects()[0].id).project.networks["basic"].edges
    assert {edge.target: edge.source for edge in edges if edge.target_node == "add_1"} == {
        "add_1.a": "input_1",
        "add_1.b": "batchnorm2d_2",
    }
    for item, opening in {"save-svg": b"<svg", "save-image": b"\x89PNG"}.items():
        canvas.press("menu")
        with page.expect_download() as download:
            page.locator(f'[data-item="{item}"]').click()
        assert download.value.path().read_bytes().startswith(opening)
    canvas.node("input_1").click()
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS.replace("className", "dataset.id")) == "conv2d_1"
    page.keyboard.press("Enter")
    page.keyboard.press("e")
    expect(page.locator(".react-flow__edge.selected")).to_have_count(1)


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.slow
def test_dragging_stays_smooth_with_many_layers(page: Page, server: Server) -> None:
    """The script time per frame of a drag with 300 layers in view, compared with 10 layers."""
    few, many = (_milliseconds_per_frame(page, server, count) for count in (10, 300))
    assert many < 4 * few, f"{many:.1f} ms of script a frame with 300 layers, {few:.1f} ms with 10"


def _milliseconds_per_frame(page: Page, server: Server, count: int) -> float:
    page.goto(f"{server.url}/design?project={server.store.create_project(_chain(count))}")
    canvas = Canvas(page)
    expect(canvas.node("input_1")).to_be_visible()
    canvas.press("fit")
    expect(page.locator("[data-node]")).to_have_count(count)
    canvas.settle()
    canvas.still()
    page.wait_for_timeout(500)
    box = canvas.surface.bounding_box()
    assert box is not None
    # The layer in the center: at the border, the view would follow the drag.
    center = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    near = range(max(1, count // 2 - 8), min(count, count // 2 + 8))
    x, y = min(
        (center_of(canvas, f"relu_{number}") for number in near), key=lambda position: math.dist(position, center)
    )
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("() => { window.frames_ = 0; const f = () => { window.frames_++; requestAnimationFrame(f); }; f(); }")
    before = _script_seconds(session)
    for step in range(60):
        page.mouse.move(x + 60 * math.sin(step / 12), y + 40 * math.cos(step / 12))
        page.wait_for_timeout(10)
    after, frames = _script_seconds(session), page.evaluate("() => window.frames_")
    page.mouse.up()
    canvas.settle()
    return 1000 * (after - before) / float(frames)


def _script_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "ScriptDuration")


def _chain(count: int) -> Project:
    """An input and a chain of activations in rows of 15."""
    nodes = {"input_1": {"id": "input_1", "type": "Input", "at": [0, 0]}}
    names = ["input_1", *(f"relu_{number}" for number in range(1, count))]
    for number, name in enumerate(names[1:], 1):
        nodes[name] = {"id": name, "type": "ReLU", "at": [(number % 15) * 240, (number // 15) * 120]}
    edges = [{"source": source, "target": target} for source, target in itertools.pairwise(names)]
    network = {"nodes": nodes, "edges": edges, "notes": {}}
    return loads(json.dumps({"format": 1, "name": f"Chain of {count}", "networks": {"main": network}}))
