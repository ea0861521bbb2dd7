"""The Monitor page in Chromium: the mask of a collected example is corrected by the pointer and by the keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.document import updated
from netloom.templates import templates
from tests.browser.axe import violations_of
from tests.runs.examples import until, until_state

pytestmark = pytest.mark.browser


def test_the_mask_of_a_collected_example_is_corrected_by_a_box_and_by_the_keyboard(page: Page, server: Server) -> None:
    project = templates()["shapes_unet"].project
    data = project.data.model_copy(update={"options": {**project.data.options, "rows": 60}})
    training = updated(project.training, {"epochs": 0})
    project = project.model_copy(update={"data": data, "training": training})
    project_id = server.store.create_project(project)
    run_id = runs.start(server.store, project_id, project)
    until_state(server.store, run_id, "finished", 120)
    collected, background = server.store.collected(project_id), np.zeros((24, 24), dtype=int).tolist()
    collected.add({"image": np.zeros((1, 24, 24)).tolist()}, background, "Try it", run=run_id)
    page.goto(f"{server.url}/monitor?project={project_id}&run={run_id}")
    page.get_by_role("radiogroup", name="Part").get_by_text("Collected examples").click()
    page.get_by_text("Correct the mask").click()
    page.get_by_role("radiogroup", name="Paint with").get_by_text("square").click()
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    [example] = collected.all()
    mask = np.array(example.label)
    assert set(mask.ravel().tolist()) == {0, 2}, "the background, and the square"
    assert (mask[:11, :11] == 2).all()
    assert not mask[13:, 13:].any()

    brush = page.get_by_role("application", name="Brush for the keyboard, 24 × 24 cells")
    expect(brush).to_contain_text("arrow keys move the brush, Space paints, 1–6 pick the class, + and − its size")
    page.get_by_role("radiogroup", name="Tool").get_by_role("radio").last.focus()
    page.keyboard.press("Tab")  # the image, and then the brush
    while not brush.evaluate("element => element.getRootNode().activeElement === element"):
        page.keyboard.press("Tab")
    expect(brush.get_by_role("status")).to_have_text("square, row 13, column 13, size 1")
    for key in (*["ArrowRight"] * 7, *["ArrowDown"] * 7, "1", "+", "+"):
        page.keyboard.press(key)
    page.keyboard.press("2")
    number, name = 1, "circle"
    expect(brush.get_by_role("status")).to_have_text(f"{name}, row 20, column 20, size 3")
    assert violations_of(page, "light") == []
    # Two strokes one after the other, without waiting for the page: a dot, and a line while Space is held
    page.keyboard.press("Space")
    page.keyboard.press("-")
    page.keyboard.press("-")
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    page.keyboard.down("Space")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.up("Space")
    expected = mask.copy()
    expected[18:21, 18:21] = expected[13, 17:20] = number
    until(lambda: np.array_equal(collected.all()[0].label, expected), 30)
    expect(page.get_by_role("radiogroup", name="Paint with").get_by_role("radio", checked=True)).to_have_text(name)
    page.get_by_role("button", name="Undo").click()  # the line is one stroke
    expected[13, 17:20] = 0
    until(lambda: np.array_equal(collected.all()[0].label, expected), 30)
