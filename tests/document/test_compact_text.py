"""The compact text that reuses unchanged parts equals the one that is written at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netloom.document import Project, apply, blank, loads, to_json
from netloom.document import compact_text as module
from netloom.document.compact_text import CompactText
from netloom.document.files import compact
from netloom.templates import templates

INITIALIZATION = {"method": "normal", "std": 0.02}
EDITS: list[dict[str, Any]] = [
    {"kind": "add", "nodes": [{"id": "tanh_9", "type": "Tanh", "title": 'é "quoted" \n'}]},
    {"kind": "update", "node": "tanh_9", "note": "why", "initialization": INITIALIZATION},
    {"kind": "initialize", "initialization": INITIALIZATION},
    {"kind": "move", "at": {"tanh_9": [7.5, 1e6]}},
    {"kind": "note", "id": "note_1", "note": {"text": "a 日本", "frame": True}},
    {"kind": "note", "id": "note_1", "note": {"text": "a", "frame": True, "folded": True}},
    {"kind": "add", "nodes": [{"id": "out_9", "type": "Output"}, {"id": "out_10", "type": "Output"}]},
    {"kind": "order", "outputs": ["out_10", "out_9"]},
    {"kind": "connect", "source": "tanh_9", "target": "out_9"},
    {"kind": "project", "name": "two\nlines", "training": {"epochs": 3}, "data": {"folds": 4}},
    {"kind": "remove", "nodes": ["out_9"]},
    {"kind": "note", "id": "note_1", "note": None},
]


# A chain, branches, several inputs, several outputs and nested networks: to the text, the others are alike.
FEW = ("digits_mlp", "shapes_unet", "parts_multimodal", "shapes_two_outputs", "tales_gpt")


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.long) for name in templates()]
)
def test_text_after_each_edit_equals_the_whole_text(name: str) -> None:
    project, texts = templates()[name].project, CompactText()
    documents = [project]
    for edit in EDITS:
        documents.append(project := apply(project, edit))
    for document in (*documents, *reversed(documents), blank("b")):  # forth, back by Undo, and another document
        text = texts.of(document)
        assert text == compact(document)
        assert json.loads(text) == to_json(document)
        assert loads(text) == document


def test_only_changed_parts_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    project, texts = many_nodes(50), CompactText()
    texts.of(project)
    written: list[object] = []

    def counted(value: Any) -> str:
        written.append(value)
        return compact(value)

    monkeypatch.setattr(module, "compact", counted)
    text = texts.of(changed := apply(project, {"kind": "set", "node": "linear_7", "params": {"units": 3}}))
    assert len(written) == 1
    assert text == compact(changed)


def many_nodes(count: int) -> Project:
    nodes = [{"id": f"linear_{number}", "type": "Linear", "params": {"units": 2}} for number in range(count)]
    return apply(blank("many"), {"kind": "add", "nodes": nodes})
