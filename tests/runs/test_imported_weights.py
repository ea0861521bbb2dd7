"""The template that is offered for each kind of uploaded data learns from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import add_file, schema
from netloom.document import DataChoice
from netloom.templates import templates
from netloom.templates.starting import STARTERS, start, starters
from netloom.validation import analyze
from tests.data.brought import EXAMPLE_FILES
from tests.runs.examples import Recorder, loop

# Another file of the same kind of data gets the same template.
SIMILAR = {
    "people.jsonl": "people.xlsx",
    "films.csv": "people.xlsx",
    "lines.zip": "reviews.zip",
    "mnist.zip": "bars.npz",
    "triplets.zip": "pairs.zip",
    "rings.jsonl": "graphs.zip",
}


@pytest.mark.parametrize(
    "filename", [pytest.param(name, marks=pytest.mark.long) if name in SIMILAR else name for name in EXAMPLE_FILES]
)
def test_suggested_template_learns_from_uploaded_data(home: Path, filename: str) -> None:
    choice = DataChoice(dataset=add_file(EXAMPLE_FILES[filename][0](), filename, home).name)
    columns = schema(choice, home)
    assert columns is not None
    project = start(starters(choice, columns)[0], choice, "Mine", home)
    assert project is not None
    assert not analyze(project, columns).errors
    changes = {"epochs": 400, "schedule": "constant", "batch_size": 16, "device": "cpu"}
    trainer = loop(project.model_copy(update={"training": project.training.model_copy(update=changes)}), home)
    before = trainer.evaluate("train")["loss"]
    trainer.fit(Recorder(stop_at=30))
    assert trainer.evaluate("train")["loss"] < 0.9 * before


def test_every_offered_template_exists() -> None:
    assert {name for names in STARTERS.values() for name in names} <= set(templates())
