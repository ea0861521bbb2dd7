"""The process of the pages leaves computing to its workers: it never imports PyTorch, Captum or scikit-learn.

The fixture `server` checks this in every test of the browser, among which are some that open each page; this one opens
what only workers can compute.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.document import Augment, Project
from netloom.templates import templates
from tests.browser.canvas import choose
from tests.browser.navigation import open_by_link
from tests.runs.examples import until_state

pytestmark = pytest.mark.browser


def untrained(server: Server, template: str) -> tuple[str, str]:
    """A project of a template, and its run without an epoch."""
    project = templates()[template].project
    project = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})})
    project_id = server.store.create_project(project)
    return project_id, runs.start(server.store, project_id, project)


def with_frozen_convolutions(project: Project, start: str) -> Project:
    """The project with frozen convolutions, an augmentation, and the weights of a run as its initial ones."""
    network = project.main_network
    nodes = {key: node.model_copy(update={"frozen": key.startswith("conv")}) for key, node in network.nodes.items()}
    training = project.training.model_copy(update={"initial_weights": start, "augment": (Augment(kind="crop"),)})
    networks = {**project.networks, project.main: network.model_copy(update={"nodes": nodes})}
    return project.model_copy(update={"training": training, "networks": networks})


def wait_until_drawn(page: Page) -> None:
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def test_pages_never_import_pytorch(page: Page, server: Server) -> None:
    project_id, run_id = untrained(server, "digits_cnn")
    tagger_id, tagger_run = untrained(server, "requests_tagger")
    for started in (run_id, tagger_run):
        until_state(server.store, started, "finished", 120)
    stored = server.store.load(project_id)
    changed = with_frozen_convolutions(stored.project, f"run:{run_id}")
    server.store.save(project_id, changed, stored.epoch, stored.revision + 1, {}, stored.stamp)
    page.goto(f"{server.url}/train?project={project_id}")
    expect(page.get_by_text("The initial weights match")).to_be_visible()
    open_by_link(page, "design")
    page.get_by_role("tab", name="Code").click()
    expect(page.get_by_test_id("stCode").first).to_contain_text("requires_grad_(False)")
    open_by_link(page, "data")
    page.get_by_role("radio", name="Columns").click()
    page.get_by_role("radio", name="Augment").click()
    expect(page.get_by_text("11 augmented versions")).to_be_visible()
    explain = f"{server.url}/explain?project={project_id}&run={run_id}"
    page.goto(explain)
    page.get_by_text("Baseline and steps").click()
    choose(page, "Baseline", "Custom row")
    expect(page.get_by_text("Starts as row")).to_be_visible()
    page.goto(f"{explain}&view=flow")
    expect(page.get_by_text("Hover over a connection")).to_be_visible()
    page.goto(f"{explain}&view=what-if")
    expect(page.get_by_test_id("stMain").locator("canvas, img").first).to_be_visible()
    wait_until_drawn(page)
    open_by_link(page, "deploy")
    expect(page.get_by_text("Request the prediction")).to_be_visible()
    wait_until_drawn(page)
    page.goto(f"{server.url}/explain?project={tagger_id}&run={tagger_run}")
    expect(page.get_by_role("combobox", name="Word")).to_be_visible()
    wait_until_drawn(page)
    mapped = Path(f"/proc/{server.process.pid}/maps")
    assert not mapped.exists() or "libtorch" not in mapped.read_text()
