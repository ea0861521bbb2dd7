"""The page /docs of a model server in a real browser, where its content security policy applies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.conftest import listen
from tests.explain.models import trained
from tests.serving.asgi import Application, listening

pytestmark = pytest.mark.browser
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def test_the_page_is_readable_in_both_themes_and_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    application, backgrounds = Application(tmp_path, trained("image")), set()
    with listening(application.state) as port:
        for theme in THEMES:
            page = browser.new_page(color_scheme=theme, viewport={"width": 390, "height": 844})
            problems = listen(page)
            page.goto(f"http://localhost:{port}/docs")
            expect(page.get_by_role("heading", name="Predict")).to_be_visible()
            expect(page.get_by_text(f"curl http://localhost:{port}/predict")).to_be_visible()
            backgrounds.add(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            violations = Axe().run(page).response["violations"]
            assert not [item for item in violations if item["impact"] in ("serious", "critical")], violations
            assert not problems, problems
            page.close()
    assert len(backgrounds) == 2
