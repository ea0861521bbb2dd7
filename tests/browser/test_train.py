"""Training in a real browser: pause, reload, resume, a killed worker, a killed server; then export and explain."""

from __future__ import annotations

import os
import re
import signal
import time
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from netloom.cli.bench.server import Server
from netloom.document import Editor
from netloom.explain.core.explainer import registry
from netloom.runs import pause, refresh, start, stop
from netloom.store import Run
from netloom.templates import templates
from netloom.ui.explain.views.attention import ROUTING
from tests.browser.axe import violations_of
from tests.browser.canvas import choose
from tests.browser.conftest import listen

pytestmark = pytest.mark.browser
CURVE = "[data-line]"
# The guaranteed times are for an otherwise idle machine; the tests share theirs.
BUSY = 4
# Counts the chart elements removed from the page from now on; they are in the shadow root of their component.
WATCH = """() => {
    window.gone = 0;
    const chart = "figure, [data-line], [data-chart]";
    const of = (node) => node.nodeType === 1 && (node.matches(chart) || node.querySelector("[data-chart]"));
    const seen = (changes) => changes.forEach((change) => (gone += [...change.removedNodes].filter(of).length));
    const host = [...document.querySelectorAll("*")].find((node) => node.shadowRoot?.querySelector("figure"));
    host.dataset.chart = "";
    const watched = { childList: true, subtree: true };
    for (const root of [document, host.shadowRoot]) new MutationObserver(seen).observe(root, watched);
}"""


def open_train_page(page: Page, server: Server, template: str, epochs: int) -> str:
    """Open a project from a template on the train page, with the given number of epochs. Returns its ID."""
    editor = Editor(templates()[template].project)
    editor.apply({"kind": "project", "training": {"epochs": epochs}})
    project_id = server.store.create_project(editor.project)
    page.goto(f"{server.url}/train?project={project_id}")
    # The first page of a server imports many modules.
    expect(page.get_by_role("button", name="Start training")).to_be_enabled(timeout=60_000)
    return project_id


def choose_method(page: Page, name: str) -> None:
    method = registry()[name]
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.get_by_role("button", name="Method: ").click()
    page.get_by_test_id("stPopoverBody").get_by_role("button", name=method.title, exact=True).click()
    expect(page.get_by_role("button", name=f"Method: {method.title}")).to_be_visible(timeout=60_000)


def single_run(server: Server, project_id: str) -> Run:
    runs = server.store.runs(project_id)
    assert len(runs) == 1
    return refresh(server.store, runs[0].id)


def wait_for(server: Server, project_id: str, state: str, within_s: float) -> Run:
    end = time.monotonic() + BUSY * within_s
    while (run := single_run(server, project_id)).state != state:
        assert time.monotonic() < end, f"the run is {run.state}, not {state}"
        time.sleep(0.05)
    return run


def assert_whole_curve(server: Server, run: Run) -> None:
    """Every epoch has exactly one point."""
    points = server.store.points(run.id)
    keys = list(zip(points.step, points.split, points.name, strict=True))
    assert len(keys) == len(set(keys))
    rows = zip(points.epoch, points.split, points.name, strict=True)
    epochs = [epoch for epoch, split, name in rows if (split, name) == ("validation", "loss")]
    assert epochs == list(range(len(epochs)))


def test_trained_run_can_be_exported_and_explained(page: Page, server: Server, tmp_path: Path) -> None:
    project_id = open_train_page(page, server, "digits_cnn", 3)
    page.get_by_role("button", name="Start training").click()
    expect(page.locator(CURVE).first).to_be_visible()
    expect(page.get_by_text("Test metrics")).to_be_visible(timeout=60_000)
    run = single_run(server, project_id)
    assert run.state == "finished"
    expect(page.get_by_text("Accuracy", exact=True).first).to_be_visible()
    page.get_by_role("tab", name="Errors").click()
    expect(page.get_by_text(re.compile(r"predicted .+ \(\d+%\)")).first).to_be_visible()
    page.get_by_test_id("stTabs").get_by_role("button", name="Explain").last.click()
    expect(page.get_by_text("One of the").or_(page.get_by_text("Most confident mistake"))).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Back to Train").click()
    expect(page.get_by_text(re.compile(r"predicted .+ \(\d+%\)")).first).to_be_visible()
    page.get_by_role("tab", name="Export").click()
    page.get_by_role("button", name="Build zip").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download zip").click()
    target = tmp_path / "model.zip"
    caught.value.save_as(target)
    names = {Path(name).name for name in zipfile.ZipFile(target).namelist()}
    assert {"model.py", "weights.safetensors", "predict.py"} <= names
    page.get_by_role("link", name="Explain").click()
    expect(page.get_by_text("Prediction: ")).to_be_visible(timeout=60_000)
    for method in ("saliency", "occlusion"):  # without a sign and with one
        choose_method(page, method)
        expect(page.get_by_text("Removing the most important features first")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("Positive", exact=True)).to_have_count(0 if method == "saliency" else 1)


@pytest.mark.long
def test_run_is_paused_resumed_elsewhere_and_stopped(browser: Browser, page: Page, server: Server) -> None:
    project_id = open_train_page(page, server, "digits_mlp", 10_000)
    page.get_by_role("button", name="Start training").click()
    expect(page.locator(CURVE).first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    paused = wait_for(server, project_id, "paused", 3)
    step = paused.step
    assert paused.owner.startswith("browser "), "known by the cookie that it was given"
    expect(page.get_by_role("heading", name="Paused")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Paused")).to_be_visible()
    context = browser.new_context()
    second_page = context.new_page()
    problems = listen(second_page)
    second_page.goto(page.url)
    second_page.get_by_role("button", name="Resume").click()
    wait_for(server, project_id, "running", 3)
    context.close()
    assert not problems, problems
    expect(page.get_by_role("heading", name="Training")).to_be_visible()
    page.get_by_test_id("stPopover").get_by_role("button", name="Learning rate").click()
    page.get_by_label("New learning rate").fill("0.0005")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("0.0005").first).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").click()
    run = wait_for(server, project_id, "stopped", 6)
    assert run.step > step
    assert_whole_curve(server, run)
    expect(page.get_by_text("Test metrics")).to_be_visible()


def test_killed_worker_is_reported_and_run_resumes(page: Page, server: Server) -> None:
    project_id = open_train_page(page, server, "digits_mlp", 10_000)
    page.get_by_role("button", name="Start training").press("Enter")
    expect(page.locator(CURVE).first).to_be_visible()
    expect(page.get_by_role("heading", name="Training")).to_be_focused()
    expect(page.get_by_role("region", name="Latest predictions")).to_be_visible()
    assert not violations_of(page, "light")
    page.evaluate(WATCH)
    checkpoint = server.store.artifacts(single_run(server, project_id).id).local_directory() / "last.json"
    end = time.monotonic() + 60
    while not checkpoint.exists():
        assert time.monotonic() < end
        page.wait_for_timeout(50)
    page.get_by_test_id("stPopover").get_by_role("button", name="Learning rate").click()
    expect(page.get_by_label("New learning rate")).to_be_visible()
    pid = single_run(server, project_id).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    expect(page.get_by_role("heading", name="Failed")).to_be_visible(timeout=BUSY * 5_000)
    expect(page.get_by_text("killed").first).to_be_visible()
    expect(page.get_by_label("New learning rate")).to_have_count(0)
    # The popover that replaces the open learning rate popover must be closed.
    expect(page.get_by_role("button", name="Delete permanently")).to_have_count(0)
    assert page.evaluate("gone") == 0  # the chart elements stayed while the charts grew and as the run ended
    before = single_run(server, project_id).step
    page.get_by_role("button", name="Resume").click()
    run = wait_for(server, project_id, "running", 10)
    end = time.monotonic() + BUSY * 20
    while (run := single_run(server, project_id)).step <= before:
        assert time.monotonic() < end
        time.sleep(0.1)
    expect(page.get_by_role("heading", name="Training")).to_be_visible()
    page.get_by_role("button", name="Stop").press("Enter")
    run = wait_for(server, project_id, "stopped", 6)
    expect(page.get_by_role("heading", name="Stopped")).to_be_focused()
    assert_whole_curve(server, run)


def test_explain_page_follows_a_run_in_progress(page: Page, server: Server) -> None:
    project = templates()["digits_mlp"].project
    project = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 10_000})})
    project_id = server.store.create_project(project)
    run_id = start(server.store, project_id, project)
    end = time.monotonic() + 60
    while not server.store.artifacts(run_id).weights_written_at():
        assert time.monotonic() < end
        time.sleep(0.05)
    pause(server.store, run_id)  # so that the page has the processor
    page.goto(f"{server.url}/explain?project={project_id}")
    expect(page.get_by_text("so no mistakes are known")).to_be_visible()
    stop(server.store, run_id)
    expect(page.get_by_text(re.compile("Most confident mistake|no prediction is wrong"))).to_be_visible()


@pytest.mark.long
def test_run_outlives_the_server(mortal_server: Server, page: Page) -> None:
    project_id = open_train_page(page, mortal_server, "digits_mlp", 10_000)
    page.get_by_role("button", name="Start training").click()
    expect(page.locator(CURVE).first).to_be_visible()
    mortal_server.kill()
    step = single_run(mortal_server, project_id).step
    end = time.monotonic() + BUSY * 20
    while (run := single_run(mortal_server, project_id)).step <= step:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert run.state == "running"
    mortal_server.start()
    page.goto(f"{mortal_server.url}/train?project={project_id}")
    expect(page.get_by_role("heading", name="Training")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    assert_whole_curve(mortal_server, wait_for(mortal_server, project_id, "stopped", 20))


# `tests.ui.test_explaining` shows the same without a browser.
@pytest.mark.long
def test_explain_page_shows_transformer_attention(page: Page, server: Server) -> None:
    open_train_page(page, server, "intents_transformer", 3)
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Test metrics")).to_be_visible(timeout=60_000)
    page.get_by_role("link", name="Explain").click()
    page.get_by_test_id("stButtonGroup").get_by_text("Attention", exact=True).first.click()
    expect(page.get_by_text("Relevance of the input")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Head ablation")).to_be_visible()
    expect(page.get_by_text(ROUTING).first).to_be_visible()


def test_upload_preview_follows_the_target_column(page: Page, server: Server, tmp_path: Path) -> None:
    page.goto(f"{server.url}/data")
    good = tmp_path / "people <b>.csv"
    good.write_text(
        "age,income,buys\n" + "".join(f"{20 + i},{1000 + i * 7},{'yes' if i % 3 else 'no'}\n" for i in range(60))
    )
    page.get_by_role("button", name="Upload data").click()
    bad = tmp_path / "people.csv"
    bad.write_bytes(b"%PDF-1.7")
    page.get_by_role("dialog").locator('input[type="file"]').set_input_files(bad)
    expect(page.get_by_text("is a PDF document")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Remove people.csv").click()
    page.get_by_role("dialog").locator('input[type="file"]').set_input_files(good)
    expect(page.get_by_text("Predict 'buys' from 'age', 'income'.")).to_be_visible()
    choose(page, "Column to predict", "income")
    expect(page.get_by_text("Predict 'income' from 'age', 'buys'.")).to_be_visible()
    choose(page, "Column to predict", "buys")
    page.get_by_role("button", name="Add data").click()
    expect(page.get_by_role("heading", name="people")).to_be_visible()
    expect(page.get_by_text("60", exact=True).first).to_be_visible()
