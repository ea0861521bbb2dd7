"""Networks for data with several targets, and for columns of categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.data import add_file, schema
from netloom.document import DataChoice, Project
from netloom.runs import fit_here, predict
from netloom.templates.mixed import MIXED
from netloom.templates.starting import start, starters
from netloom.validation import analyze
from tests.data.crafted import make_csv

TARGETS = {"level": {"role": "target"}, "score": {"role": "target"}, "count": {"role": "target"}}
INDEX = {"kind": "category", "encode": "index"}


def started(home: Path, options: dict[str, Any]) -> tuple[str, Project]:
    """The first network that is offered for a table with these settings, and its template."""
    rows = (
        f"{i / 7:.3f},{'abc'[i % 3]},the {'red' if i % 2 else 'blue'} cat {i},{'lh'[i % 2]},{i / 3:.2f},{i % 9}"
        for i in range(60)
    )
    info = add_file(make_csv("size,town,note,level,score,count", rows), "a.csv", home)
    choice = DataChoice(dataset=info.name, options=options)
    fields = schema(choice, home)
    assert fields is not None
    template = starters(choice, fields)[0]
    project = start(template, choice, "Started", home)
    assert project is not None
    assert not analyze(project, fields).errors
    return template.name, project


@pytest.mark.parametrize(
    ("columns", "template"),
    [
        ({"note": {"role": "ignore"}}, "breast_cancer"),
        ({"note": {"kind": "text"}, "size": {"role": "ignore"}, "town": {"role": "ignore"}}, "intents_lstm"),
    ],
)
def test_several_targets_have_an_output_each(columns: dict[str, Any], template: str, home: Path) -> None:
    name, project = started(home, {"task": "several_outputs", "columns": {**columns, **TARGETS}})
    assert name == template
    assert project.training.objective == "several_outputs"
    nodes = project.main_network.nodes
    outputs = project.main_network.order("Output")
    assert [nodes[key].params.get("name") for key in outputs] == ["level", "score", "count"]
    of_output = {edge.target: edge.source for edge in project.main_network.edges if edge.target in outputs}
    assert [nodes[of_output[key]].title for key in outputs] == ["Level", "Score", "Count"]
    assert [nodes[of_output[key]].params["units"] for key in outputs] == [2, 1, 9]


def test_embeddings_have_the_categories_of_the_columns(home: Path) -> None:
    others = {name: {"role": "ignore"} for name in ("size", "note", "level", "count")}
    name, project = started(home, {"target": "score", "columns": {"town": INDEX, **others}})
    assert name == "clicks_deepfm"
    nodes = [node for node in project.main_network.nodes.values() if node.type == "CategoricalEmbedding"]
    assert nodes
    assert all(node.params["sizes"] == [4] for node in nodes)  # a, b, c and unknown ones


@pytest.mark.parametrize(
    ("columns", "kinds"),
    [
        ({"note": {"kind": "text"}}, {"vector", "tokens"}),
        ({"town": INDEX, "note": {"role": "ignore"}}, {"vector", "tokens"}),
        ({"town": INDEX, "note": {"kind": "text"}}, {"vector", "tokens"}),
    ],
)
@pytest.mark.parametrize("targets", [("level",), ("score",), ("level", "score", "count")])
def test_inputs_of_several_kinds_have_a_branch_each(
    columns: dict[str, Any], kinds: set[str], targets: tuple[str, ...], home: Path
) -> None:
    roles = {name: {"role": "target" if name in targets else "ignore"} for name in TARGETS}
    task = {"task": "several_outputs"} if len(targets) > 1 else {"target": targets[0]}
    name, project = started(home, {**task, "columns": {**columns, **(roles if len(targets) > 1 else {})}})
    assert name == MIXED
    network = project.main_network
    inputs = [network.nodes[key] for key in network.order("Input")]
    assert {node.params["kind"] for node in inputs} == kinds
    (joined,) = [node for node in network.nodes.values() if node.type == "Concat"]
    assert joined.params["count"] == len(inputs) > 1
    trained = fit_here(project.model_copy(update={"training": project.training.model_copy(update={"epochs": 1})}), home)
    assert predict(trained, [trained.data.row(0)])
