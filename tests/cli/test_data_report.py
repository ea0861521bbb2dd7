"""`netloom data report`: as text, JSON and HTML, and the dataset card."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.conftest import Console
from tests.data.samples import csv_from_columns, example_columns


@pytest.fixture
def faulty_dataset(console: Console, tmp_path: Path) -> str:
    """A table with a constant column whose name contains markup."""
    path = tmp_path / "faulty.csv"
    path.write_bytes(csv_from_columns(example_columns(**{"<script>x</script>": 1})))
    answer = console("data", "add", path, "--target", "label", "--json")
    assert answer.code == 0, answer.err
    return str(answer.value["name"])


def test_report_lists_findings_in_every_format(console: Console, faulty_dataset: str) -> None:
    report = console("data", "report", faulty_dataset, "--json").value
    assert report["rows"] == report["rows_checked"] == 80
    finding = next(item for item in report["findings"] if item["code"] == "constant_column")
    assert finding["fix"]["edit"]["data"]["options"]["columns"] == {"<script>x</script>": {"role": "ignore"}}
    text = console("data", "report", faulty_dataset, "--quick").out
    assert "hint: '<script>x</script>' has the same value in every row" in text
    page = console("data", "report", faulty_dataset, "--html").out

    class Tags(HTMLParser):
        seen: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.add(tag)

    parser = Tags()
    parser.feed(page)
    assert "section" in parser.seen
    assert "script" not in parser.seen


def test_clean_dataset_reports_no_problems_and_a_card(console: Console) -> None:
    assert "No problems found." in console("data", "report", "wine").out
    card = console("data", "report", "wine", "--card").out
    assert card.startswith("# Wine")
    assert console("data", "report", "wine", "--card", "--json").value["rows"] == 178


def test_unknown_dataset_is_named_in_the_error(console: Console) -> None:
    answer = console("data", "report", "nothing")
    assert answer.code == 2
    assert "nothing" in answer.err


def test_adding_names_what_is_left_out(console: Console, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["id,age,label", *(f"{row},{row % 60},{'ab'[row % 2]}" for row in range(80))]))
    sentence = "The column 'id' identifies the rows and was left out."
    assert f"! {sentence}" in console("data", "add", path, "--name", "first").out.splitlines()
    assert console("data", "add", path, "--name", "second", "--json").value["warnings"] == [sentence]
    assert f"! {sentence}" in console("data", "show", "first").out.splitlines()
