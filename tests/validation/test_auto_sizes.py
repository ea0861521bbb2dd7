"""Sizes that are `auto` in documents and typed networks: the data fills them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from netloom.compile.formula import network_of, text_of
from netloom.data import schema
from netloom.document import DataChoice, Network, Project, Training
from netloom.validation import analyze
from netloom.validation.applied_fixes import with_auto_sizes
from netloom.validation.project_check import check_project
from tests.networks import chain

TEXT = """\
input_1 = Input(field='text', kind='tokens', shape=('auto',), vocabulary='auto')
embedding_1 = Embedding(input_1, dim=8, vocabulary='auto')
max_1 = Max(embedding_1)
linear_1 = Linear(max_1, units=10)
return linear_1
"""


def intents(network: Network) -> Project:
    data = DataChoice(dataset="intents")
    return Project(name="Auto", networks={"main": network}, data=data, training=Training(epochs=1, device="cpu"))


def params(project: Project, node: str) -> dict[str, Any]:
    return dict(project.main_network.nodes[node].params)


def test_typed_network_keeps_auto_and_the_data_fills_it_in(home: Path) -> None:
    network = network_of(TEXT, {})
    assert text_of(network, {}) == TEXT
    project = intents(network)
    fields = schema(project.data, home)
    assert fields is not None
    filled = with_auto_sizes(project, fields)
    field = fields.inputs[0]
    assert params(filled, "input_1") == field.parameters()
    assert params(filled, "embedding_1") == {"dim": 8, "vocabulary": field.vocabulary}
    assert with_auto_sizes(filled, fields) is filled
    assert [issue for issue in check_project(project, home)[1] if issue.severity == "error"] == []


def test_auto_without_data_is_an_error_that_asks_for_a_dataset() -> None:
    project = intents(network_of(TEXT, {})).model_copy(update={"data": DataChoice()})
    messages = {issue.node: issue.message for issue in analyze(project).errors}
    assert messages.keys() == {"input_1", "embedding_1"}
    assert all("choose a dataset" in message for message in messages.values())


def test_auto_axes_of_a_shape_keep_the_others(home: Path) -> None:
    data = DataChoice(dataset="sine")
    fields = schema(data, home)
    assert fields is not None
    project = chain(("Input", {"kind": "sequence", "shape": ["auto", 7]}), ("Mean", {}), data=data)
    assert params(with_auto_sizes(project, fields), "input_1")["shape"] == [fields.inputs[0].shape[0], 7]
    assert params(with_auto_sizes(project, fields), "input_1")["field"] == fields.inputs[0].name
    odd = chain(("Input", {"kind": "sequence", "shape": ["auto", 1]}), ("Linear", {"units": "auto"}), data=data)
    (issue,) = (issue for issue in analyze(with_auto_sizes(odd, fields), fields).errors if issue.code == "auto")
    assert "set a number" in issue.message
