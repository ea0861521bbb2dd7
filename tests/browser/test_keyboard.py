"""The main job by keyboard alone: from a template to a trained run and its explanation, with a visible focus."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from netloom.cli.bench.server import Server
from netloom.document import blank

pytestmark = pytest.mark.browser

MAX_TABS = 90
# Whether the focused element, or the frame of its field, has an outline, a shadow, or a border in the primary color.
FOCUS_IS_VISIBLE = """() => {
    let element = document.activeElement;
    for (let level = 0; element && level < 3; level++, element = element.parentElement) {
        const style = getComputedStyle(element);
        const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
        if (outlined || style.boxShadow !== "none" || style.borderColor === "rgb(79, 70, 229)") return true;
    }
    return false;
}"""


def focus(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab, or Shift+Tab, until an element has the focus, which must be visible."""
    expect(target).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    for _ in range(MAX_TABS):
        page.keyboard.press(key)
        if target.evaluate("element => element === document.activeElement"):
            page.wait_for_function(FOCUS_IS_VISIBLE)
            return
    raise AssertionError(f"{key} does not reach {target}")


def press(page: Page, target: Locator) -> None:
    focus(page, target)
    page.keyboard.press("Enter")


def open_page(page: Page, name: str, key: str = "Shift+Tab") -> None:
    focus(page, page.get_by_test_id("stTopNavLink").filter(has_text=name), key)
    page.keyboard.press("Enter")


def test_template_is_trained_explained_and_selected_by_keyboard_alone(page: Page, server: Server) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(server.url)
    focus(page, page.get_by_label("Search", exact=True))
    page.keyboard.type("Two spirals")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Use template")).to_have_count(1)
    press(page, page.get_by_role("button", name="Use template"))
    expect(page.locator("[data-node]").first).to_be_visible()

    open_page(page, "Train", "Tab")
    focus(page, page.get_by_role("spinbutton", name="Epochs"))
    page.keyboard.press("Control+a")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    press(page, page.get_by_role("button", name="Start training"))
    expect(page.get_by_text("Test metrics")).to_be_visible()
    focus(page, page.get_by_role("tab", name="Metrics"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Predictions during training")).to_be_visible()

    open_page(page, "Explain")
    menu = page.get_by_role("button", name="Method:")
    press(page, menu)
    method = page.get_by_test_id("stPopoverBody").get_by_role("button", name="Occlusion", exact=True)
    expect(method).to_be_visible()
    press(page, method)
    expect(menu).to_contain_text("Method: Occlusion")
    expect(menu).to_be_focused()  # also after the menu has closed
    focus(page, page.get_by_role("spinbutton", name="Row number"))
    page.keyboard.press("Control+a")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\brow=7\b"))

    open_page(page, "Runs")
    focus(page, page.get_by_role("button", name="Fullscreen"))  # of the table, which is invisible without the focus
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+Space")
    expect(page.get_by_role("button", name="Reproduce run")).to_be_visible()
    page.emulate_media(color_scheme="null")


def test_focus_stays_on_the_page_after_a_deletion_in_a_popover(page: Page, server: Server) -> None:
    project_id = server.store.create_project(blank("To delete"))
    page.goto(server.url)
    press(page, page.get_by_role("button", name="More").first)
    # A switch in Streamlit is invisible itself, as is its outline.
    switch = page.get_by_role("switch", name="Delete project")
    switch.focus()
    page.keyboard.press("Space")
    press(page, page.get_by_role("button", name="Delete permanently"))
    expect(page.get_by_text("To delete", exact=True)).to_have_count(0)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.locator("h1:focus")).to_have_count(1)
    assert not server.store.has_project(project_id)
