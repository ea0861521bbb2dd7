"""The design page in a real browser: drag, connect, fix, undo, copy, two tabs, a killed server."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, expect

from netloom.cli.bench.server import Server
from netloom.document import Project, dumps
from netloom.templates import templates
from tests.browser.canvas import Canvas, new_project, until, use_data, use_template
from tests.browser.conftest import VIEWPORT, listen
from tests.ui.editing_sessions import connected

pytestmark = pytest.mark.browser


def saved_nodes(server: Server, name: str) -> set[str]:
    store = server.store
    row = next(row for row in store.list_projects() if row.name == name)
    return set(store.load(row.id).project.main_network.nodes)


def test_empty_canvas_shows_a_hint(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Empty", by_hand=True)
    expect(page.locator("[data-empty]")).to_contain_text("Drag a layer")
    canvas.press("add-input")
    expect(canvas.node("input_1")).to_be_visible()
    expect(page.locator("[data-empty]")).to_have_count(0)

    # On a phone, the palette is a drawer, and it and the menu of pages close after a tap.
    page.set_viewport_size({"width": 390, "height": 844})
    palette = page.get_by_role("region", name="Layers")
    expect(palette).to_be_hidden()
    canvas.press("palette")
    palette.locator("[data-layer=Linear]").first.click()
    expect(canvas.node("linear_1")).to_be_visible()
    expect(palette).to_be_hidden()
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Data").click()
    expect(page.get_by_role("button", name="Upload data")).to_be_visible()
    expect(page.get_by_test_id("stExpandSidebarButton")).to_be_visible()
    page.set_viewport_size(VIEWPORT)


def test_network_is_built_by_dragging_and_fixed(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "By hand")
    use_data(canvas, "Handwritten digits")
    canvas.drag_layer("Input", 0.5, 0.08)
    canvas.drag_layer("Conv2d", 0.5, 0.28)
    canvas.drag_layer("Linear", 0.5, 0.5)
    canvas.drag_layer("Output", 0.5, 0.72)
    canvas.connect("input_1.out", "conv2d_1.in")
    expect(canvas.shape("conv2d_1")).to_have_text("(N, 1, 8, 8)")
    canvas.connect("conv2d_1.out", "linear_1.in")
    canvas.connect("linear_1.out", "output_1.in")
    expect(canvas.shape("output_1")).to_have_text("(N, 32, 8, 64)")
    canvas.press("issues")
    problems = page.locator("[data-issues]")
    problems.get_by_role("button", name="Insert Flatten").first.click()
    expect(canvas.node("flatten_1")).to_be_visible()
    fix = page.get_by_role("button", name="Insert Linear").or_(page.get_by_role("button", name="to 10 units"))
    fix.first.click()
    expect(page.get_by_text("Ready to train")).to_be_visible()
    expect(canvas.shape("output_1")).to_have_text("(N, 10)")
    canvas.settle()
    assert {"input_1", "conv2d_1", "linear_1", "output_1"} <= saved_nodes(server, "By hand")

    # On the screen of a phone, the network is not beyond the edge of the narrower canvas.
    page.set_viewport_size({"width": 390, "height": 844})
    expect(canvas.node("input_1")).to_be_in_viewport()
    page.set_viewport_size(VIEWPORT)


def test_all_edits_can_be_undone_and_redone(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Undo")
    for number, layer in enumerate(["Input", "Linear", "ReLU", "Output"]):
        canvas.drag_layer(layer, 0.5, 0.1 + 0.2 * number)
    canvas.connect("input_1.out", "linear_1.in")
    expect(canvas.shape("linear_1")).to_be_visible()
    before = canvas.nodes()
    canvas.surface.click(position={"x": 20, "y": 300})
    for _ in range(5):
        page.keyboard.press("Control+z")
    expect(page.locator("[data-node]")).to_have_count(0)
    for _ in range(5):
        page.keyboard.press("Control+Shift+z")
    expect(page.locator("[data-node]")).to_have_count(4)
    assert canvas.nodes() == before
    expect(canvas.shape("linear_1")).to_be_visible()


def test_network_is_built_by_keyboard_alone(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Keys")
    canvas.surface.click(position={"x": 20, "y": 300})
    for layer in ("input", "linear", "output"):
        page.keyboard.press("a")
        expect(page.locator("[data-menu] input")).to_be_focused()
        page.keyboard.type(layer)
        page.keyboard.press("Enter")
        expect(canvas.node(f"{layer}_1")).to_be_visible()
        expect(page.locator(f'.react-flow__node.selected [data-node="{layer}_1"]')).to_be_visible()
    expect(canvas.shape("output_1")).to_have_text("(N, 64)")
    page.keyboard.press("ArrowUp")
    expect(page.locator('.react-flow__node.selected [data-node="linear_1"]')).to_be_visible()
    page.keyboard.press("F2")
    expect(canvas.node("linear_1").locator("input")).to_be_focused()
    page.keyboard.type("Middle")
    page.keyboard.press("Enter")
    expect(canvas.node("linear_1")).to_contain_text("Middle")
    page.keyboard.press("Delete")
    expect(canvas.node("linear_1")).to_have_count(0)
    canvas.settle()
    assert saved_nodes(server, "Keys") == {"input_1", "output_1"}


def test_layers_are_duplicated_pasted_deleted_and_notes_edited(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    expect(canvas.node("linear_1")).to_be_visible()
    count = len(canvas.nodes())
    canvas.node("linear_1").click()
    page.keyboard.press("Control+d")
    expect(canvas.node("linear_4")).to_be_visible()
    page.keyboard.press("Control+c")
    page.keyboard.press("Control+v")
    expect(canvas.node("linear_5")).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator("[data-node]")).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(page.locator("[data-node]")).to_have_count(count + 2)
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator("[data-note] textarea")).to_be_focused()
    page.keyboard.type("A remark with </script> in it")
    canvas.surface.click(position={"x": 20, "y": 20})
    expect(page.locator("[data-note]")).to_contain_text("</script>")
    canvas.settle()


def test_layers_are_added_by_double_click_and_from_ports(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Menu")
    use_data(canvas, "Handwritten digits")
    menu = page.locator("[data-menu]")
    canvas.surface.dblclick(position={"x": 400, "y": 80})
    expect(menu).to_be_visible()
    page.keyboard.type("input")
    page.keyboard.press("Enter")
    expect(canvas.node("input_1")).to_be_visible()
    canvas.settle()
    start = canvas.port("input_1.out", "source").bounding_box()
    assert start is not None
    page.mouse.move(start["x"] + 6, start["y"] + 6)
    page.mouse.down()
    page.mouse.move(start["x"] + 20, start["y"] + 160, steps=8)
    page.mouse.up()
    expect(menu).to_be_visible()
    expect(menu.locator('[data-choice="Conv2d"]')).to_have_count(1)
    expect(menu.locator('[data-choice="LSTM"]')).to_have_count(0)  # does not accept an image
    page.keyboard.type("conv")
    page.keyboard.press("Enter")
    expect(canvas.shape("conv2d_1")).to_have_text("(N, 1, 8, 8)")


def test_layer_is_inserted_on_an_edge_and_layout_undoes(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    box = canvas.shape("linear_1").bounding_box()
    surface = canvas.surface.bounding_box()
    assert box is not None
    assert surface is not None
    x = (box["x"] + box["width"] / 2 - surface["x"]) / surface["width"]
    y = (box["y"] + box["height"] / 2 - surface["y"]) / surface["height"]
    canvas.drag_layer("LayerNorm", x, y)
    expect(canvas.shape("layernorm_1")).to_have_text("(N, 2)")
    expect(page.get_by_text("Ready to train")).to_be_visible()
    canvas.settle()
    before = dumps(_project(server))
    canvas.press("layout")
    canvas.surface.click(position={"x": 20, "y": 300})
    until(page, lambda: dumps(_project(server)) != before)
    page.keyboard.press("Control+z")
    until(page, lambda: dumps(_project(server)) == before)


def test_a_tab_is_drawn_if_the_canvas_requests_help_at_the_same_time(server: Server) -> None:
    async def open_code() -> str:
        tab = await connected(server, templates()["spirals"].project)
        reading = asyncio.create_task(tab.read())
        await tab.open()
        await asyncio.sleep(1)  # until the page is idle
        await tab.send()  # while the page is rerun, the next requests are combined to one
        tab.state["selection"] = {**tab.state["selection"], "about": {"type": "Tanh", "node": None}}
        await tab.send(fragment=tab.fragment)
        tab.open_tab = "Code"
        await tab.send(fragment=tab.side_panel)
        await tab.until(lambda: tab.code)
        reading.cancel()
        await tab.connection.close()
        return tab.code

    with ThreadPoolExecutor() as thread:  # this one has the event loop of Playwright
        assert "nn.Linear(" in thread.submit(asyncio.run, open_code()).result()


def test_inspector_changes_the_network_and_the_code(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals", by_hand=True)
    canvas.node("linear_1").click()
    units = page.get_by_role("spinbutton", name="Units")
    expect(units).to_have_value("64")
    units.fill("48")
    units.press("Enter")
    expect(canvas.shape("tanh_1")).to_have_text("(N, 48)")
    page.get_by_role("tab", name="Code").click()
    expect(page.locator('[data-testid="stCode"]').first).to_contain_text("nn.Linear(2, 48)")


def test_fields_above_the_canvas_are_not_cut_off_on_a_tablet(page: Page, server: Server) -> None:
    project = templates()["intents_transformer"].project
    project_id = server.store.create_project(project.model_copy(update={"name": "Intents in a small model"}))
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{server.url}/design?project={project_id}")
    expect(page.get_by_text("Ready to train")).to_be_visible()
    for label in ("Project", "Data", "Objective"):
        field = page.get_by_label(label, exact=True).first
        assert field.evaluate("field => field.scrollWidth <= field.clientWidth"), f"{label} is cut off"
    page.set_viewport_size(VIEWPORT)


def test_two_tabs_never_overwrite_each_other(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Two tabs")
    canvas.drag_layer("Input", 0.5, 0.1)
    canvas.settle()
    other_page = page.context.new_page()
    problems = listen(other_page)
    other_page.goto(page.url)
    second_canvas = Canvas(other_page)
    expect(second_canvas.node("input_1")).to_be_visible()
    second_canvas.drag_layer("Linear", 0.5, 0.4)
    canvas.drag_layer("Output", 0.5, 0.7)
    expect(canvas.node("linear_1")).to_be_visible()
    expect(second_canvas.node("output_1")).to_be_visible()
    canvas.settle()
    second_canvas.settle()
    assert (
        canvas.nodes()
        == second_canvas.nodes()
        == saved_nodes(server, "Two tabs")
        == {"input_1", "linear_1", "output_1"}
    )
    # A change in the form of one tab shows in the other, and a tab whose selected layer is deleted keeps its focus.
    units = [tab.get_by_role("spinbutton", name="Units") for tab in (page, other_page)]
    for tab, field in zip((canvas, second_canvas), units, strict=True):
        tab.node("linear_1").click()
        expect(field).to_have_value("64")
    units[0].fill("48")
    units[0].press("Enter")
    expect(units[1]).to_have_value("48")
    canvas.node("linear_1").click()
    page.keyboard.press("Delete")
    expect(second_canvas.node("linear_1")).to_have_count(0)
    other_page.keyboard.press("Control+z")
    expect(canvas.node("linear_1")).to_be_visible()
    assert not problems, problems


def test_killed_server_loses_no_edits(mortal_server: Server, page: Page) -> None:
    canvas = new_project(page, mortal_server, "Killed")
    canvas.drag_layer("Input", 0.5, 0.1)
    canvas.settle()
    canvas.drag_layer("Linear", 0.5, 0.4)
    # The guarantee is two seconds if each process has its own core.
    timeout_s = 2 * max(2.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    until(page, lambda: saved_nodes(mortal_server, "Killed") == {"input_1", "linear_1"}, timeout_s)
    mortal_server.kill()
    assert saved_nodes(mortal_server, "Killed") == {"input_1", "linear_1"}
    canvas.drag_layer("Output", 0.5, 0.7)  # while the server is down
    mortal_server.start()
    expect(canvas.node("output_1")).to_be_visible()
    canvas.settle()
    assert saved_nodes(mortal_server, "Killed") == {"input_1", "linear_1", "output_1"}


def test_versions_can_be_restored(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    count = len(canvas.nodes())
    canvas.node("linear_1").click()
    page.keyboard.press("Delete")
    expect(canvas.node("linear_1")).to_have_count(0)
    canvas.settle()
    page.get_by_role("tab", name="Versions").click()
    restore = page.get_by_role("button", name="Restore")
    expect(restore).to_have_count(2)  # the version after the deletion comes in above the first, which moves down
    restore.last.click()
    expect(page.locator("[data-node]")).to_have_count(count)


@pytest.mark.long
def test_hostile_project_name_is_shown_as_text(page: Page, server: Server) -> None:
    name = "\"><img src=x onerror=alert(1)></script>'; DROP TABLE projects; ../../etc"
    canvas = new_project(page, server, name, by_hand=True)
    expect(page.get_by_label("Project")).to_have_value(name)
    canvas.drag_layer("Input", 0.5, 0.1)
    canvas.settle()
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_text("DROP TABLE", exact=False).first).to_be_visible()


def _project(server: Server) -> Project:
    store = server.store
    return store.load(store.list_projects()[0].id).project
