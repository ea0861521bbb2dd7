"""An analysis that continues the previous one equals a new one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from netloom.document import EditError, Project, apply
from netloom.templates import templates
from netloom.validation import Analysis, analyze
from netloom.validation.analysis import failed_analysis

# With branches, subnetworks, repetitions, shared weights and sizes of the input.
DOCUMENTS = ("digits_resnet", "tales_gpt", "paraphrases_siamese", "shapes_two_outputs")
EDITS = 40


def content(analysis: Analysis) -> list[Any]:
    """Everything that the canvas, the code and the run use."""
    contexts = analysis.networks
    return [
        analysis.issues,
        {name: (context.nodes, context.totals, context.order) for name, context in contexts.items()},
        {name: (context.layers, context.parameter_errors) for name, context in contexts.items()},
        {
            name: {edge.target: context.spec(edge) for edge in context.network.edges}
            for name, context in contexts.items()
        },
    ]


def random_edit(project: Project, choose: random.Random) -> dict[str, Any]:
    name = choose.choice(list(project.networks))
    network = project.networks[name]
    key = choose.choice(list(network.nodes))
    edges = [edge.target for edge in network.edges]
    edits: list[dict[str, Any]] = [
        {"kind": "move", "at": {key: [choose.random() * 100, 0.0]}},
        {"kind": "remove", "nodes": [key], "edges": []},
        {"kind": "remove", "nodes": [], "edges": [choose.choice(edges)] if edges else []},
        {"kind": "connect", "source": key, "target": choose.choice(edges or [key])},
        {
            "kind": "set",
            "node": key,
            "params": {choose.choice(("units", "filters", "dim")): choose.choice((-1, 8, 16))},
        },
        {"kind": "update", "node": key, "frozen": choose.random() < 0.5},
        {"kind": "update", "node": key, "shares": choose.choice([None, *network.nodes])},
        {"kind": "add", "nodes": [{"id": f"tanh_{choose.randrange(10**6)}", "type": "Tanh", "params": {}}]},
    ]
    return {**choose.choice(edits), "network": name}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_continued_analysis_equals_a_new_one(name: str) -> None:
    choose = random.Random(0)
    project = templates()[name].project
    analysis, history = analyze(project), [project]
    for _ in range(EDITS):
        try:
            # An undo returns to earlier nodes.
            project = history.pop() if choose.random() < 0.15 else apply(project, random_edit(project, choose))
        except EditError:
            continue
        history.append(project)
        analysis = analyze(project, before=analysis)
        assert content(analysis) == content(analyze(project))


def test_analysis_after_a_failed_one_uses_none_of_its_layers() -> None:
    project = templates()["digits_mlp"].project
    before = analyze(project)
    (linear, *_) = [key for key, node in project.main_network.nodes.items() if node.type == "Linear"]
    changed = apply(project, {"kind": "set", "node": linear, "params": {"units": 7}})
    failed = failed_analysis(changed, None, before, KeyError("it failed"))
    assert content(analyze(changed, before=failed)) == content(analyze(changed))
