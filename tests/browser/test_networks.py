"""Nested networks in a browser: group, open, edit inside, go back, undo, reload; parameters and expressions."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from netloom.cli.bench.server import Server
from netloom.document import Project
from tests.browser.canvas import Canvas, choose, new_project, use_template

pytestmark = pytest.mark.browser


def wait_for_network(page: Page, name: str) -> None:
    """Wait until a network is shown."""
    expect(page.locator(f'[data-tab="{name}"].current')).to_be_visible()


def group(page: Page, canvas: Canvas, nodes: list[str], name: str) -> None:
    canvas.node(nodes[0]).click()
    for node in nodes[1:]:
        canvas.node(node).click(modifiers=["Control"])
    expect(page.locator(".react-flow__node.selected")).to_have_count(len(nodes))
    page.keyboard.press("Control+g")
    expect(page.locator("[data-naming] input")).to_be_focused()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    # It is selected only once it has been drawn, and keys act on the selection.
    expect(page.locator(f'.react-flow__node.selected [data-node="{name}_1"]')).to_be_visible()
    canvas.still()


def saved_project(server: Server) -> Project:
    return server.store.load(server.store.list_projects()[0].id).project


def test_group_can_be_opened_edited_reloaded_and_undone(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    expect(page.get_by_text("Ready to train")).to_be_visible()
    canvas.settle()
    original = saved_project(server)
    before = canvas.nodes()
    group(page, canvas, ["linear_2", "tanh_2"], "block")
    expect(page.locator('[data-tab="block"]')).to_be_visible()
    expect(canvas.node("block_1")).to_contain_text("block")
    expect(page.locator('.react-flow__node.selected [data-node="block_1"]')).to_be_visible()
    assert canvas.nodes() == (before - {"linear_2", "tanh_2"}) | {"block_1"}
    expect(page.get_by_text("Ready to train")).to_be_visible()
    expect(page.locator('[data-layer="network:block"]')).to_be_visible()

    canvas.node("block_1").dblclick()
    wait_for_network(page, "block")
    expect(canvas.node("tanh_2")).to_be_visible()
    expect(canvas.shape("tanh_2")).to_have_text("(N, 64)")
    assert canvas.nodes() == {"input_1", "linear_2", "tanh_2", "output_1"}
    # A network cannot contain itself, so the palette does not offer it here.
    expect(page.locator('[data-layer="network:block"]')).to_have_count(0)
    canvas.node("linear_2").click()
    units = page.get_by_role("spinbutton", name="Units")
    units.fill("48")
    units.press("Enter")
    expect(canvas.shape("tanh_2")).to_have_text("(N, 48)")
    canvas.node("tanh_2").click()
    expect(page.locator('.react-flow__node.selected [data-node="tanh_2"]')).to_be_visible()
    page.keyboard.press("Control+d")
    expect(canvas.node("tanh_1")).to_be_visible()
    canvas.settle()
    assert set(saved_project(server).networks["block"].nodes) == {"input_1", "linear_2", "tanh_2", "tanh_1", "output_1"}
    assert "network=block" in page.url

    page.reload()
    wait_for_network(page, "block")
    expect(canvas.node("tanh_1")).to_be_visible()
    page.locator('[data-tab="main"] button').first.click()
    wait_for_network(page, "main")
    canvas.node("block_1").dblclick()
    wait_for_network(page, "block")
    canvas.press("back")
    wait_for_network(page, "main")
    expect(canvas.node("block_1")).to_be_visible()
    expect(canvas.shape("linear_3")).to_have_text("(N, 48)")
    assert "network=" not in page.url

    canvas.surface.click(position={"x": 20, "y": 300})
    for _ in range(3):
        page.keyboard.press("Control+z")
    expect(canvas.node("linear_2")).to_be_visible()
    expect(page.locator("[data-tab]")).to_have_count(1)
    canvas.settle()
    assert saved_project(server) == original
    expect(page.get_by_text("Ready to train")).to_be_visible()


@pytest.mark.long
def test_group_opens_by_enter_and_ungroups(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    before = canvas.nodes()
    group(page, canvas, ["linear_2", "tanh_2"], "block")
    page.keyboard.press("Enter")
    wait_for_network(page, "block")
    expect(canvas.node("tanh_2")).to_be_visible()
    # The first click keeps the breadcrumbs and thus the layout, so the second one hits the same tab.
    page.locator('[data-tab="block"] [role=tab]').dblclick()
    expect(page.get_by_label("Name of the network")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    wait_for_network(page, "main")
    expect(page.locator('.react-flow__node.selected [data-node="block_1"]')).to_be_visible()
    page.keyboard.press("Control+Shift+g")
    expect(canvas.node("tanh_2")).to_be_visible()
    assert canvas.nodes() == before
    # It is no longer used, so it can be deleted.
    page.locator('[data-tab="block"]').hover()
    page.get_by_role("button", name="Delete block").click()
    expect(page.locator('[data-tab="block"]')).to_have_count(0)
    expect(page.get_by_text("Ready to train")).to_be_visible()


@pytest.mark.long
def test_breadcrumbs_lead_back_and_ports_have_node_titles(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    group(page, canvas, ["linear_2", "tanh_2"], "inner")
    group(page, canvas, ["tanh_1", "inner_1"], "outer")
    expect(page.locator("[data-crumbs]")).to_have_count(0)
    canvas.node("outer_1").dblclick()
    wait_for_network(page, "outer")
    canvas.node("inner_1").dblclick()
    wait_for_network(page, "inner")
    expect(page.locator("[data-crumbs] li")).to_have_text(["main", "outer", "inner"])
    page.locator('[data-crumb="outer"]').click()
    wait_for_network(page, "outer")
    expect(page.locator("[data-crumbs] li")).to_have_text(["main", "outer"])
    canvas.node("input_1").click()
    page.keyboard.press("F2")
    page.keyboard.type("Query")
    page.keyboard.press("Enter")
    expect(canvas.node("input_1")).to_contain_text("Query")
    page.locator('[data-crumb="main"]').click()
    wait_for_network(page, "main")
    expect(page.locator("[data-crumbs]")).to_have_count(0)
    expect(canvas.port("outer_1.in", "target")).to_have_attribute("title", re.compile("^Query: "))


def test_networks_are_created_renamed_and_used(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Tabs")
    canvas.press("new-network")
    wait_for_network(page, "network_1")
    expect(page.locator("[data-empty]")).to_contain_text("a port")
    page.locator('[data-tab="network_1"] [role=tab]').dblclick()
    expect(page.get_by_label("Name of the network")).to_be_focused()
    page.keyboard.type("My block")
    page.keyboard.press("Enter")
    wait_for_network(page, "my_block")
    for index, layer in enumerate(["Input", "Linear", "Output"]):
        canvas.drag_layer(layer, 0.5, 0.15 + 0.25 * index)
    canvas.connect("input_1.out", "linear_1.in")
    canvas.connect("linear_1.out", "output_1.in")
    expect(canvas.shape("output_1")).to_have_text("(N, 64)")
    canvas.settle()
    page.locator('[data-tab="main"] button').first.click()
    wait_for_network(page, "main")
    canvas.drag_layer("network:my_block", 0.5, 0.4)
    expect(canvas.node("my_block_1")).to_be_visible()
    canvas.settle()
    assert not saved_project(server).networks["my_block"].nodes.keys() & {"my_block_1"}
    # Issues of other networks are listed here, and a click leads to them.
    page.locator('[data-tab="my_block"] [role=tab]').click()
    wait_for_network(page, "my_block")
    canvas.node("linear_1").click()
    page.keyboard.press("Delete")
    expect(canvas.node("linear_1")).to_have_count(0)
    page.locator('[data-tab="main"] [role=tab]').click()
    wait_for_network(page, "main")
    canvas.press("issues")
    page.locator('[data-issues] [data-issue-node="output_1"] [data-action="show"]').first.click()
    wait_for_network(page, "my_block")
    expect(page.locator('.react-flow__node.selected [data-node="output_1"]')).to_be_visible()


def test_rapid_edits_apply_to_their_own_network(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Haste")
    canvas.press("new-network")
    wait_for_network(page, "network_1")
    for _ in range(3):
        canvas.surface.click(position={"x": 20, "y": 300})
        page.keyboard.press("n")
        page.keyboard.press("Escape")
        page.locator('[data-tab="main"] [role=tab]').click()
        wait_for_network(page, "main")
        canvas.drag_layer("ReLU", 0.5, 0.4)
        page.locator('[data-tab="network_1"] [role=tab]').click()
        wait_for_network(page, "network_1")
        canvas.drag_layer("Tanh", 0.5, 0.4)
    canvas.settle()
    networks = saved_project(server).networks
    assert {node.type for node in networks["main"].nodes.values()} == {"ReLU"}
    assert {node.type for node in networks["network_1"].nodes.values()} == {"Tanh"}
    assert len(networks["main"].nodes) == len(networks["network_1"].nodes) == len(networks["network_1"].notes) == 3
    expect(page.get_by_role("alert")).to_have_count(0)


def test_exposed_parameter_is_used_in_an_expression(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    group(page, canvas, ["linear_2", "tanh_2"], "block")
    canvas.node("block_1").dblclick()
    wait_for_network(page, "block")
    adding = page.get_by_role("textbox", name="Add a parameter")
    adding.fill("width = 32")
    adding.press("Enter")
    expect(page.get_by_role("textbox", name="width", exact=True)).to_have_value("32")
    canvas.node("linear_2").click()
    units = page.get_by_role("textbox", name="Units")
    units.fill("widths * 2")
    units.press("Enter")
    expect(page.get_by_text("is not a parameter of this network").first).to_be_visible()
    units.fill("width * 2")
    units.press("Enter")
    expect(canvas.shape("tanh_2")).to_have_text("(N, 64)")
    expect(page.get_by_text("is not a parameter of this network")).to_have_count(0)
    canvas.press("back")
    wait_for_network(page, "main")
    canvas.node("block_1").click()
    width = page.get_by_role("textbox", name="width", exact=True)
    expect(width).to_have_attribute("placeholder", "32")
    width.fill("12")
    width.press("Enter")
    expect(canvas.shape("linear_3")).to_have_text("(N, 24)")
    canvas.settle()
    node = saved_project(server).main_network.nodes["block_1"]
    assert node.params == {"network": "block", "values": {"width": 12}}
    expect(page.get_by_text("Ready to train")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Train")).last).to_be_enabled()
    page.get_by_role("tab", name="Code").click()
    expect(page.locator('[data-testid="stCode"]').first).to_contain_text("class Block")


def test_palette_shows_common_layers_until_a_group_is_expanded(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Palette")
    expect(page.locator('[data-layer="ReLU"]')).to_have_count(1)
    expect(page.locator('[data-layer="Hardtanh"]')).to_have_count(0)
    page.locator('[data-group="Activation"]').click()
    expect(page.locator('[data-layer="Hardtanh"]')).to_be_visible()
    page.locator('[data-group="Activation"]').click()
    expect(page.locator('[data-layer="Hardtanh"]')).to_have_count(0)
    page.locator('[data-action="search"]').fill("hardtanh")
    page.locator('[data-layer="Hardtanh"]').click()
    expect(canvas.node("hardtanh_1")).to_be_visible()
    page.locator('[data-action="search"]').fill("")
    expect(page.locator('[data-recent="Hardtanh"]')).to_be_visible()


def test_layer_shares_the_weights_of_another(page: Page, server: Server) -> None:
    canvas = use_template(page, server, "Two spirals")
    canvas.node("linear_2").click()
    page.keyboard.press("Control+d")
    expect(page.get_by_text("linear_4", exact=True)).to_be_visible()  # in the inspector
    page.get_by_text("Title, comment, freezing").click()
    # A list that opens while the box unfolds, or while the page scrolls to it, closes again.
    page.wait_for_timeout(1000)
    page.get_by_role("combobox", name="Share weights with").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    choose(page, "Share weights with", "Linear (linear_2)")
    expect(canvas.node("linear_4").locator("title", has_text="Shares weights with linear_2")).to_have_count(1)
    canvas.settle()
    assert saved_project(server).main_network.nodes["linear_4"].shares == "linear_2"
