"""Small components in a real browser, without a server: the data that they receive and what they do with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from netloom.explain.plots.attention import attention_lines, patches
from netloom.ui.components.examples import box_input
from netloom.ui.train.episodes import CSS, HTML

pytestmark = pytest.mark.browser
MOUNT = """async ([script, html, data]) => {
  const parentElement = document.querySelector("main");
  parentElement.innerHTML = html;
  const { default: mount } = await import(script);
  const setStateValue = (name, value) => (window.state = value);
  mount({ parentElement, data, setStateValue, setTriggerValue: (...value) => (window.triggered = value) });
}"""
OBSERVATIONS: dict[str, list[Any]] = {
    "cart_pole": [[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.1, 0.0]],
    "acrobot": [[1.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]],
    "mountain_car": [[-0.5, 0.0], [0.5, 0.0]],
    "frozen_lake": [0, 5],
}


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    def serve(route: Route) -> None:
        module, _, name = route.request.url.rpartition("/")[2].rpartition(":")
        path = Path(str(import_module(module).__file__)).parent / name if module else None
        kind = "text/javascript" if path else "text/html"
        route.fulfill(body=path.read_text() if path else "<main></main>", content_type=kind)

    tab = profile.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.route("http://components.test/**", serve)
    tab.goto("http://components.test/")
    yield tab
    tab.close()
    assert not problems, problems


def mount(page: Page, script: str, html: str, data: dict[str, Any]) -> None:
    page.evaluate(MOUNT, [f"/{script}", html, data])


@pytest.mark.parametrize("environment", OBSERVATIONS)
def test_an_episode_is_played_to_its_end(page: Page, environment: str) -> None:
    first, last = OBSERVATIONS[environment]
    scores = [[0.0, 0.0], [np.log(3.0), 0.0]]
    episode = {"title": "Episode 1", "end": "then time was up", "seen": [first, last], "actions": [0, 1]}
    data = {"drawing": environment, "actions": ["left", "right"], "values": False, "run": "1"}
    mount(
        page,
        "netloom.ui.train:episodes.js",
        f"<style>{CSS}</style>{HTML}",
        data | {"episodes": [episode | {"scores": scores}]},
    )
    expect(page.locator("[data-part=status]")).to_have_text("Step 1 of 2")
    scene = page.locator("[data-part=scene]")
    before = scene.inner_html()
    page.get_by_role("button", name="Play").click()
    expect(page.locator("[data-part=status]")).to_have_text("Step 2 of 2, then time was up")
    assert scene.inner_html() != before
    assert page.locator(".row").all_inner_texts() == ["left\n75%", "right\n25%"]
    expect(page.locator(".row.chosen")).to_contain_text("right")
    page.get_by_role("slider").fill("0")
    expect(page.locator("[data-part=status]")).to_have_text("Step 1 of 2")
    assert scene.inner_html() == before


def test_attention_of_a_token_is_highlighted(page: Page) -> None:
    tokens = ("a", "b", "c")
    svg = attention_lines(np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4]]), tokens, tokens)
    mount(page, "netloom.ui.explain.views:attention.js", '<div class="view"></div>', {"svg": svg})
    token = page.locator('.token[data-row="1"]')
    faded = page.locator('.pair[style*="0.03"]')
    token.hover()
    expect(page.locator('.pair[style*="inline"]')).to_have_count(3)
    assert {line.get_attribute("data-row") for line in faded.all()} == {"0", "2"}
    page.mouse.move(0, 0)
    expect(faded).to_have_count(0)
    token.click()
    page.mouse.move(0, 0)
    expect(faded).to_have_count(6)  # a selected token stays highlighted


def test_attention_of_a_patch_is_highlighted(page: Page) -> None:
    weights = np.array([[0.7, 0.3], [0.1, 0.9]])
    svg = patches(weights, ("left", "right"), (1, 2), 0, np.zeros((2, 4, 3)), 0)
    mount(
        page,
        "netloom.ui.explain.views:attention.js",
        '<div class="view"></div>',
        {"svg": svg, "colors": ["red", "blue"]},
    )
    keys = page.locator(".key title")
    assert keys.all_text_contents() == ["left → left: 0.700", "left → right: 0.300"]
    assert page.locator(".key").first.get_attribute("fill-opacity") == "0.850"
    page.locator(".query").nth(1).hover()
    assert keys.all_text_contents() == ["right → left: 0.100", "right → right: 0.900"]
    page.mouse.move(0, 0)
    assert keys.all_text_contents() == ["left → left: 0.700", "left → right: 0.300"]


def test_a_box_that_is_too_small_to_draw_is_moved(page: Page) -> None:
    classes = [{"name": "car", "color": "#000000", "text": "#ffffff"}]
    data = {"picture": "data:,", "width": 200, "ratio": 1, "text": "", "chosen": 0, "disabled": False, "change": 0}
    data |= {"boxes": [[0, 0.5, 0.25, 0.50004, 0.5]], "classes": classes}
    mount(page, "netloom.ui.components.examples:box_editor.js", f"<style>{box_input.CSS}</style>{box_input.HTML}", data)
    page.locator(".box").hover()
    page.mouse.down()
    box = page.locator("[data-part=stage]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.up()
    [[number, x_min, _, x_max, _]] = page.evaluate("window.state.boxes")
    assert (number, x_max - x_min) == (0, pytest.approx(0.00004))
    assert x_min == pytest.approx(0.25, abs=0.02)


def test_a_drawing_is_downloaded_on_the_background_of_the_page(page: Page) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><text fill="light-dark(#111, #eee)">a</text></svg>'
    )
    data = {"name": "tree", "svg": svg, "csv": "a,b\n1,2\n", "chart": ""}
    page.evaluate("document.body.style.setProperty('--st-background-color', '#123456')")
    mount(page, "netloom.ui.components:figure_export.js", '<div class="row"></div>', data)
    contents: dict[str, bytes] = {}
    for kind in ("PNG", "SVG", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        assert download.value.suggested_filename == f"tree.{kind.lower()}"
        contents[kind] = Path(download.value.path()).read_bytes()
    assert contents["PNG"].startswith(b"\x89PNG")
    assert int.from_bytes(contents["PNG"][16:20]) == 80, "two pixels per pixel of the page"
    assert contents["CSV"] == b"a,b\n1,2\n"
    assert b'fill="#123456"' in contents["SVG"]
    assert b'fill="#111"' in contents["SVG"]


def test_plotly_is_loaded_when_nobody_types_or_draws(page: Page) -> None:
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url) if "/static/js/" in request.url else None)
    page.clock.install()
    html = '<script src="/static/js/index.js" type="text/plain"></script><input><p>Results</p>'
    mount(page, "netloom.ui.shell:charts_ahead.js", html, {"file": "./netloom.ui.shell:charts_ahead.js"})
    page.locator("input").press("1")
    page.clock.run_for(10_000)
    page.locator("p").click()  # the field loses the focus
    page.clock.run_for(1_500)
    assert not loaded
    with page.expect_request("**/static/js/*"):
        page.clock.run_for(1_000)
