"""The Try it page in Chromium: predictions follow typing and drawing without leaving the field, and a text can be
stopped."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from netloom.cli.bench.server import Server
from tests.browser.canvas import until
from tests.browser.playground import open_untrained

pytestmark = pytest.mark.browser


def open_editor(page: Page, server: Server, name: str) -> Locator:
    """Open the page with a run of a template that was not trained, and return the editor."""
    open_untrained(page, server, name)
    expect(page.get_by_role("button", name="Explain this")).to_be_visible()
    expect(result(page)).to_contain_text("%")
    return page.locator(".st-key-try-editor")


def result(page: Page) -> Locator:
    return page.locator(".st-key-try-result")


def test_prediction_follows_typing_and_drawing_without_leaving_the_field(page: Page, server: Server) -> None:
    editor = open_editor(page, server, "breast_cancer")
    before = result(page).inner_text()
    field = editor.locator("[data-testid=stNumberInput] input").first
    field.press("Control+A")
    field.press_sequentially("95.5", delay=20)
    expect(page.get_by_text("label is unknown")).to_be_visible()
    expect(result(page)).not_to_have_text(before)
    expect(field).to_be_focused()
    # Zeros that do not change the number stay, so that further digits can follow them.
    field.press("End")
    field.press_sequentially("0", delay=20)
    page.wait_for_timeout(600)
    expect(field).to_have_value("95.50")
    field.press_sequentially("5", delay=20)
    expect(field).to_have_value("95.505")

    editor = open_editor(page, server, "digits_mlp")
    before = result(page).inner_text()
    box = editor.locator("canvas[data-part=canvas]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=5)
    page.mouse.up()
    expect(page.get_by_text("label is unknown")).to_be_visible()
    expect(result(page)).not_to_have_text(before)


def test_text_is_written_token_by_token_until_it_is_stopped(page: Page, server: Server) -> None:
    editor = open_editor(page, server, "tales_gpt")
    before = result(page).inner_text()
    editor.locator("textarea").press_sequentially("xq", delay=20)
    expect(page.get_by_text("label is unknown")).to_be_visible()
    expect(result(page)).not_to_have_text(before)
    page.get_by_label("Length").fill("1000")
    page.get_by_label("Length").press("Enter")
    generate = page.get_by_role("button", name="Generate")
    page.wait_for_timeout(300)  # until the rerun has begun, during which there can be the button of before, too
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    expect(generate).to_have_count(1)
    generate.click()
    stop = page.get_by_role("button", name="Stop")
    expect(result(page)).to_contain_text("▌")
    stop.click()
    expect(stop).to_have_count(0)
    expect(result(page)).not_to_contain_text("▌")
    written = result(page).inner_text()
    assert 0 < len(written.rpartition("Generate")[2].strip()) < 1000 + 600
    page.wait_for_timeout(700)
    assert result(page).inner_text() == written, "it has ended"


def test_an_object_is_drawn_on_the_image_and_collected(page: Page, server: Server) -> None:
    open_untrained(page, server, "shapes_detector")
    expect(page.get_by_role("heading", name="No object")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.get_by_role("button", name="Collect", exact=True).click()
    label = page.get_by_role("textbox", name="Correct label")
    expect(label).to_have_value("no object")
    page.get_by_role("radiogroup", name="Draw a box around").get_by_role("radio", name="square").click()
    stage = page.get_by_role("group", name="New boxes are labeled square")
    area = stage.bounding_box()
    assert area is not None
    client = page.context.new_cdp_session(page)

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        for step, (across, down) in enumerate((start, end)):
            page.mouse.move(area["x"] + across * area["width"], area["y"] + down * area["height"], steps=1 + 3 * step)
            page.mouse.up() if step else page.mouse.down()

    def touch(*fingers: tuple[float, float], kind: str = "touchStart") -> None:
        points = [
            {"x": area["x"] + across * area["width"], "y": area["y"] + down * area["height"], "id": number}
            for number, (across, down) in enumerate(fingers)
        ]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def press_ten_times(key: str) -> None:
        for _ in range(10):
            page.keyboard.press(key)
            page.wait_for_timeout(60)  # so that the page is rerun meanwhile

    def expect_box(*expected: float) -> None:
        def sides() -> tuple[float, ...]:
            return tuple(float(number) for number in re.findall(r"(?<= )[\d.]+", label.input_value()))

        until(page, lambda: sides() == pytest.approx(expected, abs=0.02))

    drag((0.1, 0.2), (0.5, 0.75))
    expect(label).to_have_value(re.compile(r"^square( 0\.\d{1,5}){4}$"))
    expect_box(0.1, 0.2, 0.5, 0.75)
    drag((0.3, 0.5), (0.9, 0.5))  # the box, up to the right side of the image
    expect_box(0.6, 0.2, 1.0, 0.75)
    drag((0.6, 0.2), (0.4, 0.1))  # its corner
    expect_box(0.4, 0.1, 1.0, 0.75)
    drag((0.05, 0.2), (0.25, 0.9))  # another box
    press_ten_times("ArrowUp")
    page.keyboard.press("Shift+Tab")  # the larger box keeps the focus when the page is rerun
    expect_box(0.4, 0.1, 1.0, 0.75, 0.05, 0.1, 0.25, 0.8)
    press_ten_times("ArrowDown")
    expect_box(0.4, 0.2, 1.0, 0.85, 0.05, 0.1, 0.25, 0.8)
    page.keyboard.press("Delete")
    expect_box(0.05, 0.1, 0.25, 0.8)
    expect(stage).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Delete")
    expect(label).to_have_value("no object")
    label.fill("square 0.5 0.5 0.9 0.9")
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.2 * area["height"])
    page.mouse.down()  # ends the typing, and begins a box
    expect(stage.get_by_role("button")).to_have_count(2)
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.4 * area["height"])
    page.mouse.up()
    expect_box(0.5, 0.5, 0.9, 0.9, 0.1, 0.2, 0.3, 0.4)
    label.fill("no object")
    label.press("Control+Enter")
    expect(stage.get_by_role("button")).to_have_count(0)
    touch((0.1, 0.2))
    touch((0.1, 0.2), (0.9, 0.1))  # a second finger has no effect
    touch((0.5, 0.75), (0.9, 0.9), kind="touchMove")
    touch(kind="touchEnd")
    expect_box(0.1, 0.2, 0.5, 0.75)
    page.get_by_role("button", name="Collect this input").click()
    expect(page.get_by_text("The project has 1 collected example.")).to_be_visible()
    [example] = server.store.collected(server.store.runs()[0].project_id).all()
    assert [item["class"] for item in example.label] == ["square"]
    assert example.label[0]["box"] == pytest.approx([0.1, 0.2, 0.5, 0.75], abs=0.02)
