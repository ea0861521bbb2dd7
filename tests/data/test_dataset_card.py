"""The dataset card describes the data and escapes markup in user text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.core.text import escape
from netloom.data import datasets, prepare
from netloom.data.quality import report
from netloom.data.quality.dataset_card import card, findings, markdown, save_card
from netloom.document import DataChoice
from netloom.store import RunArtifacts
from tests.data.samples import csv_from_columns, example_columns, import_and_prepare


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "intents", "clicks", "dates", "sine", "commands", "parts"])
def test_dataset_card_describes_the_data(name: str) -> None:
    choice = DataChoice(dataset=name)
    data, info = prepare(choice), next(info for info in datasets() if info.name == name)
    dataset_card = card(info, data, choice)
    assert json.loads(json.dumps(dataset_card))["fingerprint"] == data.fingerprint
    assert dataset_card["rows"] == data.schema.rows
    assert dataset_card["splits"] == {part: len(rows) for part, rows in data.split.items()}
    assert [field["name"] for field in dataset_card["fields"]] == [field.name for field in data.schema.inputs]
    assert all(how["how"] for how in dataset_card["preprocessing"])
    text = markdown(dataset_card)
    assert text.startswith(f"# {info.title}")
    assert all(escape(name) in text for name in list(dataset_card["classes"])[:3])


def test_dataset_card_lists_findings_and_escapes_markup(home: Path) -> None:
    table = example_columns(same=1)
    table["label"] = [f"<b>{'[x](y)' if value == 'yes' else '# no | `'}" for value in table["label"]]
    data = import_and_prepare(csv_from_columns(table), home)
    info = datasets(home)[-1]
    choice = DataChoice(dataset=info.name)
    dataset_card = card(info, data, choice, findings(report(data, choice, home, heavy=False)))
    assert any("'same'" in finding for finding in dataset_card["findings"] or [])
    text = markdown(dataset_card)
    assert escape("<b>[x](y)") in text
    assert "\\# no \\| \\`" in text
    assert "<b>" not in text


def test_dataset_card_is_saved_with_the_run(tmp_path: Path) -> None:
    choice = DataChoice(dataset="wine")
    info = next(info for info in datasets() if info.name == "wine")
    save_card(RunArtifacts.in_directory(tmp_path), prepare(choice), choice, tmp_path)
    dataset_card = json.loads((tmp_path / "data_card.json").read_text(encoding="utf-8"))
    assert (dataset_card["name"], dataset_card["findings"]) == (info.title, [])
