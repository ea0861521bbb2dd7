"""The charts of a run in a real browser, without a server: the data they receive and what they draw."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

import netloom.ui.components.curves
from netloom.ui.components.curves.plot import HTML

pytestmark = pytest.mark.browser
FOLDER = Path(netloom.ui.components.curves.__file__).parent / "served"
VIEW = {"x": "Epoch", "smoothing": 0.0, "log_x": False, "log_y": False}
LINES = [["batches", "train/batch_loss", "train"], ["train", "train/loss", "train"]]
DATA: dict[str, Any] = {
    "run": "run",
    "charts": [{"title": "Loss", "lines": [*LINES, ["validation", "validation/loss", "validation"]]}],
    "perEpoch": 10,
    "epochs": "validation/loss",
    "view": VIEW,
    "message": "Wait.",
    "sends": 1,
    "points": {},
}
MOUNT = """
async (data) => {
  const { default: mount } = await import("/curves.js");
  window.requests ??= [];
  const parentElement = document.querySelector("main").shadowRoot;
  mount({ parentElement, data, setStateValue: (...state) => requests.push(state) });
}
"""


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        kind = "text/javascript" if name else "text/html"
        route.fulfill(
            body=(FOLDER / name).read_text() if name else "<main style='width: 900px'></main>", content_type=kind
        )

    tab = profile.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.route("http://curves.test/**", serve)
    tab.goto("http://curves.test/")
    tab.evaluate("(html) => (document.querySelector('main').attachShadow({ mode: 'open' }).innerHTML = html)", HTML)
    yield tab
    tab.close()
    assert not problems, problems


def part(start: int, values: list[float], step_size: int = 10) -> dict[str, Any]:
    """Points half a minute apart; the first has the index `start`."""
    steps = [step_size * (start + index + 1) for index in range(len(values))]
    at = [1000 + 30 * (start + index) for index in range(len(values))]
    return {"from": start, "count": len(values), "steps": steps, "at": at, "values": values}


def show(page: Page, **changed: Any) -> None:
    counts = {name: points["from"] + points["count"] for name, points in changed.get("points", {}).items()}
    page.evaluate(MOUNT, {**DATA, "counts": counts, **changed})


def test_points_are_added_without_replacing_chart_nodes(page: Page) -> None:
    show(page)
    expect(page.locator(".message")).to_have_text("Wait.")
    page.evaluate("""() => {
        window.gone = 0;
        const root = document.querySelector("main").shadowRoot;
        const watched = (node) => node.matches?.("figure, svg, .lines path");
        new MutationObserver((seen) => seen.forEach((one) => (gone += [...one.removedNodes].filter(watched).length)))
          .observe(root, { childList: true, subtree: true });
    }""")
    show(page, points={"train/loss": part(0, [4.0, 3.0]), "validation/loss": part(0, [5.0])})
    line = page.locator('[data-line="train"]')
    expect(line).to_have_attribute("data-points", "2")
    show(page, points={"train/loss": part(0, [4.0, 3.0, 2.0])})  # overlaps with points sent before
    show(page, points={"train/loss": part(3, [1.5]), "validation/loss": part(1, [4.0])})
    expect(line).to_have_attribute("data-points", "4")
    expect(page.locator(".message")).to_have_text("")
    expect(page.locator('.entry[data-label="train"] b')).to_have_text("1.5")
    assert page.evaluate("gone") == 0
    assert page.evaluate("requests.length") == 0
    show(page, points={"train/loss": part(9, [0.5])})
    show(page, points={"train/loss": part(9, [0.5])})
    assert page.evaluate("requests.map(([name, value]) => [name, value.slice(0, 5)])") == [["missing", "run 1"]]  # once
    expect(line).to_have_attribute("data-points", "4")
    show(page, sends=2, points={"train/loss": part(0, [4.0, 3.0, 2.0, 1.5, 1, 1, 1, 1, 1, 0.5])})
    expect(line).to_have_attribute("data-points", "10")
    show(page, run="run, resumed", points={"train/loss": part(0, [4.0])})
    expect(line).to_have_attribute("data-points", "1")


def test_browser_without_points_requests_them_until_complete(page: Page) -> None:
    show(page, counts={"train/loss": 3})
    assert page.evaluate("requests.length") == 1
    # The reply to the first request is missed.
    page.wait_for_function("requests.length === 2 && requests[0][1] !== requests[1][1]")
    show(page, sends=2, points={"train/loss": part(0, [4.0, 3.0, 2.0])})
    expect(page.locator('[data-line="train"]')).to_have_attribute("data-points", "3")
    page.wait_for_timeout(2_100)
    assert page.evaluate("requests.length") == 2


@pytest.mark.parametrize("weight", [0.3, 0.98])
def test_smoothing_is_an_exponentially_weighted_mean(page: Page, weight: float) -> None:
    rng = random.Random(1)
    values = [rng.random() for _ in range(60)]
    smoothed = page.evaluate(
        """async ([values, weight]) => {
            const { Curve } = await import("/points.js");
            const curve = new Curve();
            const add = (from, to) => {
                const some = values.slice(from, to);
                curve.add({ from, count: to - from, steps: some, at: some, values: some });
            };
            add(0, 25);
            curve.smoothed(0.1); // a weight that was used before has no effect
            curve.smoothed(weight);
            add(25, 60);
            return curve.smoothed(weight);
        }""",
        [values, weight],
    )
    for end, mean in enumerate(smoothed, 1):
        weights = weight ** np.arange(end)[::-1]
        assert mean == pytest.approx(float((weights * values[:end]).sum() / weights.sum()))


def test_spike_among_many_points_is_drawn(page: Page) -> None:
    values = [1.0] * 30_000
    values[17_123] = 9.0
    show(page, points={"train/loss": part(0, values)})
    path = str(page.locator('[data-line="train"]').get_attribute("d"))
    positions = [tuple(map(float, pair.split(","))) for pair in path[1:].split("L")]
    assert len(positions) < 5_000
    left, right = positions[0][0], positions[-1][0]
    top = min(positions, key=lambda position: position[1])
    assert (top[0] - left) / (right - left) == pytest.approx(17_123 / 30_000, abs=0.002)


def test_chart_supports_log_axis_tooltip_and_hidden_lines(page: Page) -> None:
    points = {"train/loss": part(0, [100.0, 10.0, 1.0, 0.1]), "validation/loss": part(0, [0.0, 20.0, 2.0, 0.2])}
    show(page, points=points, view={**VIEW, "log_y": True})
    assert {"100", "10", "1", "0.1"} <= set(page.locator(".grid text").all_text_contents())
    heights = [
        pair.rpartition(",")[2] for pair in str(page.locator('[data-line="train"]').get_attribute("d")).split("L")
    ]
    first, second, third = (float(text) for text in heights[:3])
    assert second - first == pytest.approx(third - second, abs=0.2)  # powers of ten are evenly spaced
    page.locator("svg").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    tooltip = page.locator(".tooltip")
    expect(tooltip).to_contain_text("Epoch 2")
    assert [row.inner_text().split() for row in tooltip.locator(".entry").all()] == [
        ["train", "10"],
        ["validation", "20"],
    ]
    page.locator('.entry[data-label="validation"]').click()
    expect(page.locator('[data-line="validation"]')).to_have_count(0)
    show(page, points={}, view={**VIEW, "x": "Time"})
    expect(page.locator(".axis")).to_have_text("Time (s)")
    show(page, points={"train/loss": part(4, [0.1] * 4)}, view={**VIEW, "x": "Time", "smoothing": 0.5})
    expect(page.locator(".axis")).to_have_text("Time (min)")
    expect(page.locator('[data-line="train as measured"]')).to_have_count(1)
    assert page.locator(".epoch-ends").get_attribute("d").count("M") == 4  # type: ignore[union-attr]


def test_shares_are_written_as_percentages(page: Page) -> None:
    chart = {"title": "Accuracy", "lines": [["train", "train/accuracy", "train"]], "percentage": True}
    show(page, charts=[chart], points={"train/accuracy": part(0, [0.9, 0.95, 0.9783])})
    expect(page.locator('.entry[data-label="train"] b')).to_have_text("97.8%")
    assert {"90%", "92%", "94%", "96%", "98%"} <= set(page.locator(".grid text").all_text_contents())
    page.locator("svg").focus()
    page.keyboard.press("End")
    expect(page.locator(".tooltip .entry")).to_contain_text("97.83%")


def test_dragging_zooms_and_png_export_saves_an_image(page: Page) -> None:
    show(page, points={"train/loss": part(0, [float(value) for value in range(100, 0, -1)])})
    box = page.locator("svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 90, steps=3)
    page.mouse.up()
    whole = page.get_by_role("button", name="Whole run")
    expect(whole).to_be_visible()
    assert "10" not in page.locator(".grid text").all_text_contents()
    show(page, points={"train/loss": part(100, [0.5])})  # new points do not change the zoom
    expect(whole).to_be_visible()
    with page.expect_download() as caught:
        page.get_by_role("button", name="PNG").click()
    assert caught.value.suggested_filename == "loss.png"
    assert Path(caught.value.path()).read_bytes().startswith(b"\x89PNG")
    page.locator("svg").dblclick()
    expect(whole).to_be_hidden()


def test_changed_setting_draws_a_labeled_line(page: Page) -> None:
    points = {"train/loss": part(0, [3.0, 2.0, 1.0, 0.5])}  # steps 10 to 40, epochs 1 to 4
    changes: list[dict[str, Any]] = [
        {"text": "learning rate 0.01 → 0.001", "step": 20, "at": 1030},
        {"text": "learning rate 0.001 → 0.0001", "step": 22, "at": 1036},
        {"text": "learning rate 1 → 2", "step": 9_000, "at": 9_000},  # outside the shown range
    ]
    lines = page.locator(".changes path")

    def line_positions() -> list[float]:
        return [float(line.get_attribute("d").split(",")[0][1:]) for line in lines.all()]  # type: ignore[union-attr]

    def tick(text: str) -> float:
        label = page.locator(".grid text[text-anchor=middle]", has_text=re.compile(f"^{text}$"))
        return float(label.get_attribute("x") or 0)

    show(page, points=points, changes=changes)
    expect(page.locator(".changes text")).to_have_text([changes[0]["text"], changes[1]["text"]])
    assert line_positions()[0] == pytest.approx(tick("2"), abs=0.2)
    first, second = (label.bounding_box() for label in page.locator(".changes text").all())
    assert first is not None
    assert second is not None
    assert second["y"] >= first["y"] + first["height"] - 3 or second["x"] >= first["x"] + first["width"]
    show(page, points=points, changes=changes, view={**VIEW, "x": "Step"})
    expect(lines).to_have_count(2)
    assert line_positions()[0] == pytest.approx(tick("20"), abs=0.2)
    show(page, points=points, changes=[])
    expect(lines).to_have_count(0)
