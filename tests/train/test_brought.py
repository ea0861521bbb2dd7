"""Data of every kind that people bring is learned from, by a template that was made to fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builder.check import analyse
from builder.data import add_file, schema
from builder.graph import DataChoice, Training
from builder.templates import templates
from builder.templates.starting import start, starters
from tests.data import brought
from tests.data.brought import BROUGHT
from tests.networks import project
from tests.train.runs import Recorder, loop

# Pairs of texts have no template of their own yet.
STARTED = [name for name, (_, kind) in BROUGHT.items() if kind != "text_pairs"]


@pytest.mark.parametrize("filename", STARTED)
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
    made.run(Recorder(stop_at=30))
    assert made.evaluate("train")["loss"] < 0.9 * before


def test_pairs_of_texts_are_learned_from(home: Path) -> None:
    choice = DataChoice(dataset=add_file(brought.text_pairs(), "x.csv", home).name)
    found = schema(choice, home)
    assert found is not None
    first, second = found.inputs
    assert first.vocabulary == second.vocabulary
    nodes: dict[str, tuple[str, dict[str, Any]]] = {}
    for number, field in enumerate(found.inputs):
        nodes[f"input_{number}"] = ("Input", field.parameters())
        nodes[f"embedding_{number}"] = ("Embedding", {"vocabulary": field.vocabulary, "dim": 16})
        nodes[f"mean_{number}"] = ("Mean", {})
    nodes |= {"subtract": ("Subtract", {}), "square": ("Function", {"function": "square"})}
    nodes |= {"linear": ("Linear", {"units": 2}), "output": ("Output", {})}
    edges = [(f"{one}_{number}", f"{other}_{number}") for number in (0, 1)
             for one, other in (("input", "embedding"), ("embedding", "mean"))]  # fmt: skip
    edges += [("mean_0", "subtract.a"), ("mean_1", "subtract.b"), ("subtract", "square"), ("square", "linear")]
    training = Training(epochs=400, batch_size=16, device="cpu", learning_rate=0.01)
    made = loop(project(nodes, [*edges, ("linear", "output")], data=choice, training=training), home)
    before = made.evaluate("train")["loss"]
    made.run(Recorder(stop_at=60))
    assert made.evaluate("train")["loss"] < 0.9 * before


def test_every_template_that_is_offered_exists() -> None:
    from builder.templates import starting

    assert {name for names in starting._BY_SHAPE.values() for name in names} <= set(templates())
