"""Each page as axe-core measures it against WCAG 2.2, level AA."""

from __future__ import annotations

from functools import cache

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.templates import templates
from tests.browser.axe import violations_of
from tests.browser.conftest import VIEWPORT
from tests.browser.navigation import open_by_link
from tests.runs.examples import until_state

pytestmark = pytest.mark.browser
# Each page with a text that it shows once it is complete.
PAGES = {
    "design": "Training memory",
    "data": "Handwritten digits",
    "train": "Test metrics",
    "runs": "Runs",
    "explain": "Faithfulness",
    "playground": "Explain this",
    "deploy": "Request the prediction",
    "monitor": "The log is off by default",
    "": "Published architectures",
}

# Adds a table with the columns of the scores of a detector. Returns by how much it is wider than its text.
WIDE_TABLE = """text => {
  const row = cell => `<tr>${["Class", "AP50–95", "AP50", "AP75", "F1", "Precision", "Recall", "Objects"]
    .map(name => `<${cell}>${cell === "th" ? name : "0.5833"}</${cell}>`).join("")}</tr>`;
  text.insertAdjacentHTML("beforeend", `<table><thead>${row("th")}</thead><tbody>${row("td")}</tbody></table>`);
  return text.lastElementChild.scrollWidth - text.clientWidth;
}"""
PHONE = ViewportSize(width=390, height=844)
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 19, 26)"}
# 68% of the text color of the dark theme.
CAPTION_COLOR = "color(srgb 0.909804 0.909804 0.937255 / 0.68)"

BUTTON_HEIGHTS = """() => [...document.querySelectorAll(".stMain button:is([kind=primary], [kind=secondary])")]
    .map((button) => button.offsetHeight).filter(Boolean)"""


@cache
def trained(server: Server, template: str) -> tuple[str, str]:
    """A project of a template and its run, after one epoch; the tests of this file share it."""
    document = templates()[template].project
    project = document.model_copy(update={"training": document.training.model_copy(update={"epochs": 1})})
    project_id = server.store.create_project(project)
    run_id = runs.start(server.store, project_id, project)
    until_state(server.store, run_id, "finished", 120)
    return project_id, run_id


def open_design_code(page: Page) -> None:
    """Open the code of the network, and the menu of layers over it, in which the first item is selected."""
    page.get_by_role("tab", name="Code").click()
    expect(page.get_by_test_id("stCode")).to_be_visible()
    page.locator(".nl-surface").dblclick(position={"x": 30, "y": 60})
    expect(page.locator("[data-menu] [aria-selected=true]")).to_be_visible()


def open_project_menu(page: Page) -> None:
    page.get_by_role("button", name="More").first.click()
    expect(page.get_by_role("dialog", name="More")).to_be_visible()


# Other states of pages, which had violations.
STATES = {"": open_project_menu, "design": open_design_code}


def test_pages_have_no_accessibility_violations_in_either_theme(page: Page, server: Server) -> None:
    project_id, run_id = trained(server, "digits_cnn")
    violations: list[str] = []
    titles: list[str] = []
    page.emulate_media(color_scheme="light")
    page.goto(f"{server.url}/{next(iter(PAGES))}?project={project_id}&run={run_id}")
    for name, text in PAGES.items():
        page.emulate_media(color_scheme="light")
        if titles:
            page.keyboard.press("Escape")
            open_by_link(page, name)
        expect(page.get_by_text(text).first).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        expect(page.locator("h1"), f"{name} needs one h1").to_have_count(1)
        titles.append(page.title())
        heights = page.evaluate(BUTTON_HEIGHTS)
        assert len(set(heights)) < 2, f"buttons with and without a help differ on {name or 'home'}: {heights}"
        for theme, background in BACKGROUNDS.items():
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
            violations += [f"{name or 'home'}, {theme}: {violation}" for violation in violations_of(page, theme)]
        if name in STATES:
            page.emulate_media(color_scheme="light")
            STATES[name](page)
            expect(page.get_by_test_id("stApp")).to_have_css("background-color", BACKGROUNDS["light"])
            violations += [f"{STATES[name].__name__}: {violation}" for violation in violations_of(page, "light")]
    page.emulate_media(color_scheme="null")
    assert not violations, "\n".join(violations)
    assert len(set(titles)) == len(titles), titles


def test_chart_and_menu_are_readable_in_the_dark_theme_on_a_phone(page: Page, server: Server) -> None:
    project_id, run_id = trained(server, "breast_cancer")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    page.goto(f"{server.url}/explain?project={project_id}&run={run_id}")
    chart = page.locator(".js-plotly-plot .xtick text").first
    expect(chart).to_be_visible()
    assert chart.evaluate("text => getComputedStyle(text).fill") == CAPTION_COLOR, "Plotly's gray has a lower contrast"
    # Long texts are in several lines instead of cut off.
    expect(page.locator(".stMarkdownBadge").first).to_have_css("white-space", "normal")
    page.get_by_role("button", name="Method:").click()
    caption = page.get_by_test_id("stPopoverBody").get_by_test_id("stCaptionContainer").locator("p").first
    expect(caption).to_be_visible()
    assert caption.evaluate("text => getComputedStyle(text).color") == CAPTION_COLOR
    assert not violations_of(page, "dark")
    page.goto(f"{server.url}/playground?project={project_id}&run={run_id}")
    expect(page.get_by_role("button", name="Explain this")).to_be_visible()
    result, editor = (page.locator(f".st-key-{name}").bounding_box() for name in ("try-result", "try-editor"))
    assert result is not None
    assert editor is not None
    assert result["y"] < editor["y"]
    page.goto(f"{server.url}/train?project={project_id}&run={run_id}")
    card = page.locator(".st-key-train-card")
    expect(card).to_be_visible()
    assert page.evaluate("document.querySelector('.stMain').scrollWidth") == PHONE["width"]
    expect(page.locator("[data-testid=stMetricLabel] p").first).to_have_css("white-space", "normal")
    page.goto(f"{server.url}/data?project={project_id}")
    page.get_by_role("radio", name="Card").click()
    heading = page.get_by_role("columnheader", name="Field", exact=True)
    expect(heading).to_be_visible()
    assert heading.evaluate("cell => cell.offsetHeight") < 40, "a word is broken although it fits"
    too_wide = page.locator(".stMarkdown:has(table)").first.evaluate(WIDE_TABLE)
    assert too_wide <= 0, "a table of scores by class leaves the page"
    page.goto(f"{server.url}/train?project={project_id}&run={run_id}")
    page.set_viewport_size({"width": 1024, "height": 768})
    expect(card).to_have_css("background-color", BACKGROUNDS["dark"])  # the form scrolls beneath the card
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.goto(f"{server.url}/runs?project={project_id}")
    toolbar = page.get_by_test_id("stDataFrame").get_by_test_id("stElementToolbar").first
    expect(toolbar).to_be_visible()  # without hovering
    buttons, above = toolbar.bounding_box(), page.get_by_role("combobox", name="Group by").bounding_box()
    assert buttons is not None
    assert above is not None
    assert buttons["y"] >= above["y"] + above["height"], "the buttons of a table cover what is above it"
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.get_by_text("Sweeps", exact=True).click()
    expect(page.get_by_role("combobox", name="Parameters")).to_be_visible()
    field = page.get_by_role("combobox", name="Parameters").bounding_box()
    assert field is not None
    assert field["width"] >= 24, "a tag leaves no room to type"
    page.set_viewport_size(VIEWPORT)
    page.emulate_media(color_scheme="null")


# One with a chart and one with marked words; the other chart runs with -m long.
@pytest.mark.parametrize(
    ("template", "picture"),
    [
        ("digits_cnn", ".js-plotly-plot"),
        ("intents_lstm", ".attributed"),
        pytest.param("breast_cancer", ".js-plotly-plot", marks=pytest.mark.long),
    ],
)
def test_picture_and_sentence_of_an_explanation_are_visible_without_scrolling(
    page: Page, server: Server, template: str, picture: str
) -> None:
    project_id, run_id = trained(server, template)
    page.goto(f"{server.url}/explain?project={project_id}&run={run_id}")
    for size in (VIEWPORT, PHONE):
        page.set_viewport_size(size)
        for shown in (page.locator(picture), page.get_by_text("the score of")):
            expect(shown.locator("visible=true").first).to_be_visible()
            expect(shown.locator("visible=true").first).to_be_in_viewport(ratio=1)
    page.set_viewport_size(VIEWPORT)


def test_chat_shows_messages_as_text_and_is_accessible_in_either_theme(page: Page, server: Server) -> None:
    project_id, run_id = trained(server, "commands_joint")
    page.emulate_media(color_scheme="light")
    page.goto(f"{server.url}/playground?project={project_id}&run={run_id}")
    page.get_by_text("Chat", exact=True).first.click()
    field = page.get_by_placeholder("Write a message")
    for message in ("wake me at seven tomorrow", "<img src=x onerror=document.title='broken'> <b>fly</b> to Rome"):
        field.fill(message)
        field.press("Enter")
        expect(page.get_by_test_id("stChatMessage").filter(has_text=message[-4:])).to_be_visible()
        expect(page.get_by_role("button", name="Why").last).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(page.get_by_test_id("stChatMessage")).to_have_count(4)
    assert page.locator(".st-key-chat-dialogue :is(img, b)").count() == 0, "a message is not markup"
    assert page.title() != "broken"
    page.get_by_role("button", name="Why").last.click()
    expect(page.get_by_text("increases the score").last).to_be_visible()
    violations: list[str] = []
    for name, text in (("Answers", "Add slot"), ("Fallback", "Propose thresholds")):
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("button", name=text)).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        violations += [f"{name}: {violation}" for violation in violations_of(page, "light")]
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", BACKGROUNDS["dark"])
    violations += violations_of(page, "dark")
    page.emulate_media(color_scheme="null")
    assert not violations, "\n".join(violations)
