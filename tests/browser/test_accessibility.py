"""Each page as axe-core measures it against WCAG 2.2, level AA."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from netloom import runs
from netloom.cli.bench.server import Server
from netloom.templates import templates
from tests.runs.examples import until_state

pytestmark = pytest.mark.browser
# Each page with a text that it shows once it is complete.
PAGES = {
    "": "Published architectures",
    "design": "Training memory",
    "data": "Handwritten digits",
    "train": "Test metrics",
    "runs": "Runs",
    "explain": "Faithfulness",
    "playground": "Explain this",
}


BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 19, 26)"}
# In the first theme, all rules, and controls of at least 24 by 24 pixels, or as far apart, which axe-core measures only
# on request. In the second, the rules for colors: the others do not depend on the theme.
COLORS = ("color-contrast", "link-in-text-block")
RULES = {
    "light": {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}},
    "dark": {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": list(COLORS)}},
}


def test_pages_have_no_serious_accessibility_violations_in_either_theme(page: Page, server: Server) -> None:
    document = templates()["digits_cnn"].project
    project = document.model_copy(update={"training": document.training.model_copy(update={"epochs": 1})})
    project_id = server.store.create_project(project)
    run_id = runs.start(server.store, project_id, project)
    until_state(server.store, run_id, "finished", 120)
    violations: list[str] = []
    titles: list[str] = []
    for name, text in PAGES.items():
        page.emulate_media(color_scheme="light")
        page.goto(f"{server.url}/{name}?project={project_id}&run={run_id}")
        expect(page.get_by_text(text).first).to_be_visible()
        expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        assert page.locator("h1").count() == 1, f"{name} needs one h1"
        titles.append(page.title())
        for theme, background in BACKGROUNDS.items():
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            expect(page.get_by_test_id("stApp")).to_have_css("background-color", background)
            violations += [
                f"{name or 'home'}, {theme}: {violation['help']}: {violation['nodes'][0]['html'][:300]}"
                for violation in Axe().run(page, options=RULES[theme]).response["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
    page.emulate_media(color_scheme="null")
    assert not violations, "\n".join(violations)
    assert len(set(titles)) == len(titles), titles
