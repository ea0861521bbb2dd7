"""User text within Markdown."""

from __future__ import annotations

import re

import pytest

from netloom.core.text import escape

# What GitHub-flavored Markdown turns into links, escaped or not: https://github.com/syntax-tree/mdast-util-gfm-autolink-literal
LINKS = (r"(?i)(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", r"(?<![^\s\W])([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)")


@pytest.mark.parametrize(
    "text", ["see WWW.example.org now", "https://example.org/a?b", "write to me@example.org", "a@b"]
)
def test_escaped_address_is_not_a_link(text: str) -> None:
    shown = re.sub(r"\\(.)", r"\1", escape(text))
    assert not any(re.search(link, shown) for link in LINKS)
    assert shown.replace("\u2060", "") == text
