"""The violations that axe-core finds on a page, except for minor ones."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# In the first theme, all rules, and controls of at least 24 by 24 pixels, or as far apart, which axe-core measures only
# on request; not the rule that all content is within landmarks, outside of which Streamlit draws menus. In the second,
# the rules for colors: the others do not depend on the theme.
COLORS = ("color-contrast", "link-in-text-block")
RULES = {
    "light": {
        "resultTypes": ["violations"],
        "rules": {"target-size": {"enabled": True}, "region": {"enabled": False}},
    },
    "dark": {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": list(COLORS)}},
}


def violations_of(page: Page, theme: str) -> list[str]:
    """The moderate, serious and critical violations on a page of the rules for a theme."""
    return [
        f"{violation['help']}: {violation['nodes'][0]['html'][:300]}"
        for violation in Axe().run(page, options=RULES[theme]).response["violations"]
        if violation["impact"] != "minor"
    ]
