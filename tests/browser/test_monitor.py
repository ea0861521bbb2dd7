"""The Monitor page in Chromium: the mask of a collected example is corrected by a stroke."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.document import updated
from netloom.templates import templates
from tests.runs.examples import until_state

pytestmark = pytest.mark.browser


def test_a_box_over_the_image_corrects_the_mask_of_a_collected_example(page: Page, server: Server) -> None:
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
