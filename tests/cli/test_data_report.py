"""`netloom data report`: as text, as JSON, as a page, and the card."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.conftest import Console
from tests.data.samples import columns, csv


@pytest.fixture
def faulty(console: Console, tmp_path: Path) -> str:
    """A table with a column of one value that has a name with markup."""
    path = tmp_path / "faulty.csv"
    path.write_bytes(csv(columns(**{"<script>x</script>": 1})))
    answer = console("data", "add", path, "--target", "label", "--json")
    assert answer.code == 0, answer.err
    return str(answer.value["name"])


def test_it_says_what_is_wrong_in_every_form(console: Console, faulty: str) -> None:
    made = console("data", "report", faulty, "--json").value
    assert made["rows"] == made["looked_at"] == 80
    finding = next(one for one in made["findings"] if one["code"] == "constant_column")
    assert finding["fix"]["edit"]["data"]["options"]["columns"] == {"<script>x</script>": {"role": "ignore"}}
    text = console("data", "report", faulty, "--quick").out
    assert "hint: '<script>x</script>' has the same value in every row" in text
    page = console("data", "report", faulty, "--html").out

    class Tags(HTMLParser):
        seen: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.add(tag)

    parser = Tags()
    parser.feed(page)
    assert "section" in parser.seen
    assert "script" not in parser.seen


def test_clean_data_and_its_card(console: Console) -> None:
    assert "No problems found." in console("data", "report", "wine").out
    card = console("data", "report", "wine", "--card").out
    assert card.startswith("# Wine")
    assert console("data", "report", "wine", "--card", "--json").value["rows"] == 178


def test_what_there_is_not_is_said(console: Console) -> None:
    answer = console("data", "report", "nothing")
    assert answer.code == 2
    assert "nothing" in answer.err
