"""Documents: their content, reading and writing, and rejected files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from netloom.document import DocumentError, Edge, Project, blank, dumps, is_identifier, loads, read, write
from netloom.document.field_types import RESERVED
from tests.networks import digits_mlp


def test_document_round_trip_is_byte_identical() -> None:
    text = dumps(digits_mlp())
    assert loads(text) == digits_mlp()
    assert dumps(loads(text)) == text


def test_key_order_does_not_matter() -> None:
    value = json.loads(dumps(digits_mlp()))
    network = value["networks"]["main"]
    network["nodes"] = dict(reversed(network["nodes"].items()))
    assert dumps(loads(json.dumps(dict(reversed(value.items()))))) == dumps(digits_mlp())


def test_default_ports_are_omitted() -> None:
    assert Edge(source="a.out", target="b.in") == Edge(source="a", target="b")
    edge = Edge(source="lstm_1.state", target="add_1.b")
    assert (edge.source_node, edge.source_port, edge.target_node, edge.target_port) == ("lstm_1", "state", "add_1", "b")


def test_reserved_module_names_are_not_identifiers() -> None:
    inherited = {name for name in dir(nn.Module()) if re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    assert inherited <= RESERVED
    assert not any(is_identifier(name) for name in ("class", "torch", "forward", "Conv", "1a", "a-b", "", "a" * 65))
    assert is_identifier("conv2d_1")


def _with(path: list[str], value: Any) -> str:
    document = json.loads(dumps(digits_mlp()))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return json.dumps(document)


NODE = ["networks", "main", "nodes"]


@pytest.mark.parametrize(
    ("text", "expected_message"),
    [
        ("", "not valid JSON"),
        ("[1, 2]", "JSON object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": 1,\n "name": x}', "Expecting value in line 2, at character 10."),
        ('{"format": ' + "9" * 5_000 + "}", "too many digits"),
        (b"\xff\xfe\x00", "not"),
        ('{"name": "x", "networks": {"main": {}}, "extra": 1}', "extra"),
        ('{"name": "x", "networks": {}}', "networks"),
        ('{"format": 99, "name": "x"}', "supports up to 1. Update Netloom to open it."),
        ('{"name": "x", "networks": {"main": {}}, "notes": NaN}', "NaN"),
        (_with(["training", "learning_rate"], "fast"), "training.learning_rate"),
        (_with(["training", "epochs"], -1), "training.epochs"),
        (_with(["training", "optimizer"], "magic"), "training.optimizer"),
        (_with(["main"], "other"), "other"),
        (_with(["name"], "\ud800"), "invalid characters"),
        (_with([*NODE, "a\nb"], {"type": "ReLU"}), "lowercase"),
        (_with([*NODE, "__import__('os')"], {"type": "ReLU"}), "lowercase"),
        (_with([*NODE, "relu_9"], {"type": "ReLU", "at": [1e300, 0]}), "pixels"),
        (_with([*NODE, "relu_9"], {"id": "other", "type": "ReLU"}), "has the id"),
        (_with(["networks", "main", "edges"], [{"source": "a", "target": "b"}]), "not a node"),
        (_with(["networks", "main", "edges"], [{"source": "input_1", "target": "flatten_1"}] * 2), "two edges"),
        (_with([*NODE, "relu_9"], {"type": "ReLU", "params": {"x": "y" * 70_000}}), "bytes"),
        (_with(NODE, {f"n_{i}": {"type": "ReLU"} for i in range(2_001)}), "at most 2000"),
    ],
)
def test_invalid_document_raises_a_short_error(text: str | bytes, expected_message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        loads(text)
    message = str(caught.value)
    assert expected_message in message
    assert "Traceback" not in message
    assert "\n" not in message
    assert len(message) < 1_000


def test_write_replaces_the_file_without_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "project.json"
    write(path, blank("one"))
    write(path, digits_mlp())
    assert read(path) == digits_mlp()
    assert list(tmp_path.iterdir()) == [path]


def test_reading_a_missing_file_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read"):
        read(tmp_path / "none.json")


@pytest.mark.parametrize("name", ['"; import os', "</script>", "../../etc", "line\nbreak", "𝕏" * 50])
def test_hostile_project_name_round_trips(name: str) -> None:
    project = Project(name=name, networks=blank("x").networks)
    assert loads(dumps(project)).name == name
