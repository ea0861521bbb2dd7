"""The links between the pages, as a user follows them: cheaper than to load the whole app for each page."""

from __future__ import annotations

from playwright.sync_api import Page, expect

# The label of the link to each page that has another one than its address
LABELS = {"": "Home", "playground": "Try it"}
TITLE_CHANGED = "before => document.title !== before"


def open_by_link(page: Page, name: str) -> None:
    """Open another page from the navigation, and wait until its script has begun and ended."""
    before = page.title()
    label = LABELS.get(name, name.title())
    page.get_by_test_id("stTopNavLink").filter(has_text=label).first.click()
    page.wait_for_function(TITLE_CHANGED, arg=before, polling=50)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
