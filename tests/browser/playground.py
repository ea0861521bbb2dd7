"""The Try it page of a run in the browser."""

from __future__ import annotations

from playwright.sync_api import Page

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.templates import templates
from tests.runs.examples import until_state


def open_untrained(page: Page, server: Server, name: str) -> None:
    """Open the page with a run of a template that was not trained."""
    project = templates()[name].project
    project = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})})
    project_id = server.store.create_project(project)
    run_id = runs.start(server.store, project_id, project)
    until_state(server.store, run_id, "finished", 120)
    page.goto(f"{server.url}/playground?project={project_id}&run={run_id}")
