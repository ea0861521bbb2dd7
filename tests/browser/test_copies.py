"""Copies of layers: through the clipboard to other projects and as text; and frames that stay folded."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from netloom.cli.bench.server import Server
from tests.browser.canvas import new_project, use_template
from tests.browser.conftest import listen

pytestmark = pytest.mark.browser

# Clipboard content of other programs, and manipulated copies.
RUBBISH = [
    "Hello",
    "[1, 2",
    '{"nodes": [{"id": 1}], "version": "0.4"}',
    '{"netloom": 1, "nodes": {"a": {"type": 5}}, "notes": {}}',
    '{"netloom": 2, "nodes": {"a": {"type": "ReLU"}}}',
]
REFUSED = {
    '{"netloom":1,"nodes":{"a":{"type":"ReLU","at":[0,0]},"b":{"type":"ReLU","at":[1e12,0]}}}': "position",
    '{"netloom":1,"notes":{"a":{"text":"x","width":1}}}': "width",
    '{"netloom":1,"nodes":{"a":{"type":"ReLU","params":{"x":"' + "y" * 70_000 + '"}}}}': "65,536 bytes",
    '{"netloom":1,"nodes":{"a":{"type":"ReLU"},"b":{"type":"ReLU"}},"edges":[{"source":"a.<b>","target":"b"}]}': "port",
}


def clipboard_text(context: BrowserContext, text: str | None = None) -> str:
    """The clipboard text as another program reads it; first writes `text`, if given."""
    helper_page = context.new_page()
    helper_page.set_content("<textarea></textarea>")
    field = helper_page.locator("textarea")
    field.focus()
    if text is not None:
        field.fill(text)
        field.press("Control+a")
        field.press("Control+c")
        field.fill("")
    field.press("Control+v")
    pasted_text = field.input_value()
    helper_page.close()
    return pasted_text


def paste(page: Page, count: int) -> None:
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Control+v")
    expect(page.locator("[data-node]")).to_have_count(count)


def test_layers_paste_into_another_project_and_as_text(page: Page, server: Server) -> None:
    context = page.context  # without the permission to read the clipboard
    canvas = use_template(page, server, "Two spirals")
    canvas.node("linear_1").click()
    canvas.node("tanh_1").click(modifiers=["Shift"])
    page.keyboard.press("Control+c")
    text = clipboard_text(context)
    assert set(json.loads(text)["nodes"]) == {"linear_1", "tanh_1"}
    second_page = context.new_page()
    problems = listen(second_page)
    empty = new_project(second_page, server, "Elsewhere")
    paste(second_page, 2)
    expect(second_page.locator('[data-edge="tanh_1"]')).to_have_count(1)
    empty.settle()
    (row,) = [row for row in server.store.list_projects() if row.name == "Elsewhere"]
    network = server.store.load(row.id).project.main_network
    (edge,) = network.edges
    assert (edge.source, edge.target) == ("linear_1", "tanh_1")
    assert network.nodes["linear_1"].params["units"] == json.loads(text)["nodes"]["linear_1"]["params"]["units"]
    second_page.keyboard.press("Control+x")
    expect(second_page.locator("[data-node]")).to_have_count(0)
    assert set(json.loads(clipboard_text(context))["nodes"]) == {"linear_1", "tanh_1"}
    clipboard_text(context, text)  # as if the text came by e-mail
    paste(second_page, 2)
    field = page.get_by_placeholder("Search")
    field.fill("relu")
    field.press("Control+a")
    field.press("Control+c")  # in a text field, this copies its text
    assert clipboard_text(context) == "relu"
    assert not problems, problems


@pytest.mark.usefixtures("clipboard")
def test_invalid_clipboard_content_shows_an_error_and_changes_nothing(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Rubbish")
    canvas.press("add-input")
    canvas.settle()
    write = "text => navigator.clipboard.writeText(text)"
    for text in RUBBISH:
        page.evaluate(write, text)
        paste(page, 1)
        expect(page.get_by_role("status").get_by_text("There are no copied layers on the clipboard.")).to_be_visible()
    page.evaluate(write, RUBBISH[0])
    canvas.press("menu")
    page.get_by_role("menuitem", name="Paste").click()
    expect(page.get_by_role("status").get_by_text("There are no copied layers on the clipboard.")).to_be_visible()
    for text, message in REFUSED.items():
        page.evaluate(write, text)
        page.locator("[data-canvas]").focus()
        page.keyboard.press("Control+v")
        expect(page.get_by_role("alert")).to_contain_text(message)
        expect(page.locator("[data-node]")).to_have_count(1)
        expect(page.locator("[data-note]")).to_have_count(0)
        page.get_by_role("alert").get_by_label("Close").click()
    canvas.settle()
    page.reload()
    expect(canvas.node("input_1")).to_be_visible()
    assert canvas.nodes() == {"input_1"}


@pytest.mark.long
def test_folded_frame_is_stored_in_the_document(page: Page, server: Server) -> None:
    canvas = new_project(page, server, "Folded")
    canvas.drag_layer("ReLU", 0.5, 0.3)
    page.keyboard.press("g")
    page.keyboard.type("Stem")
    page.keyboard.press("Enter")
    page.locator("[data-fold]").click()
    expect(canvas.node("relu_1")).to_have_count(0)
    canvas.settle()
    row = next(row for row in server.store.list_projects() if row.name == "Folded")
    (note,) = server.store.load(row.id).project.main_network.notes.values()
    assert (note.text, note.folded) == ("Stem", True)
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.locator("[data-frame]")).to_contain_text("1 layer")
    expect(canvas.node("relu_1")).to_have_count(0)
    page.locator("[data-canvas]").focus()
    page.keyboard.press("Control+z")
    expect(canvas.node("relu_1")).to_be_visible()
    page.keyboard.press("Control+Shift+z")
    expect(canvas.node("relu_1")).to_have_count(0)
    canvas.press("issues")
    page.locator('[data-issue-node="relu_1"] [data-action="show"]').first.click()
    expect(canvas.node("relu_1")).to_be_visible()  # showing the layer of an issue unfolds its frame
    canvas.settle()
    assert not any(note.folded for note in server.store.load(row.id).project.main_network.notes.values())
