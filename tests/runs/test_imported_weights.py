"""Data of every kind that people bring is learned from, by a template that was made to fit it."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import add_file, schema
from netloom.document import DataChoice
from netloom.templates import templates
from netloom.templates.starting import STARTERS, start, starters
from netloom.validation import analyse
from tests.data.brought import BROUGHT
from tests.runs.examples import Recorder, loop


@pytest.mark.parametrize("filename", BROUGHT)
def test_a_template_learns_from_it(home: Path, filename: str) -> None:
    choice = DataChoice(dataset=add_file(BROUGHT[filename][0](), filename, home).name)
    found = schema(choice, home)
    assert found is not None
    project = start(starters(choice, found)[0], choice, "Mine", home)
    assert project is not None
    assert not analyse(project, found).errors
    changes = {"epochs": 400, "schedule": "constant", "batch_size": 16, "device": "cpu"}
    made = loop(project.model_copy(update={"training": project.training.model_copy(update=changes)}), home)
    before = made.evaluate("train")["loss"]
    made.fit(Recorder(stop_at=30))
    assert made.evaluate("train")["loss"] < 0.9 * before


def test_every_template_that_is_offered_exists() -> None:
    assert {name for names in STARTERS.values() for name in names} <= set(templates())
