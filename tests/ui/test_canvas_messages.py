"""What passes between Python and the canvas is what its declaration says, in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from netloom.document import Node, Note
from netloom.editing.live import Live
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.design.canvas import messages, typescript
from netloom.ui.design.canvas.messages import CanvasData, NetworkWish, Selection, read
from netloom.ui.design.canvas.payload import payload
from netloom.ui.design.canvas.records import NodeRecord, NoteRecord
from netloom.ui.design.state import VisibleNetwork


def test_the_front_ends_types_are_made_of_these_messages() -> None:
    written = typescript.TARGET.read_text(encoding="utf-8")
    assert written == typescript.typescript(), "Run python -m netloom.ui.design.canvas.typescript, and build."


def test_each_message_becomes_a_type_with_its_optional_and_empty_fields() -> None:
    found = typescript.typescript()
    assert "export type Position = [number, number];" in found
    assert 'export type Severity = "error" | "warning" | "hint";' in found
    assert "  shares: string | null;\n" in found
    assert "  label?: string;\n" in found
    assert "  /** Null if the browser has this version already. */\n  palette: LayerType[] | null;\n" in found


def strictly(message: object) -> CanvasData:
    """The message, where it has all fields that are declared, no others, and values of their types."""
    found: CanvasData = STRICT.validate_json(json.dumps(message, allow_nan=False))
    return found


def _strict() -> TypeAdapter[Any]:
    """Reads the message as it is declared, and takes nothing more and nothing else."""
    kinds: list[Any] = [kind for kind in vars(messages).values() if hasattr(kind, "__total__")]
    for kind in kinds:
        kind.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    try:
        return TypeAdapter(CanvasData)
    finally:
        for kind in kinds:
            del kind.__pydantic_config__


STRICT = _strict()


@pytest.mark.parametrize("name", ["spirals", "digits_resnet", "tales_gpt", "shapes_two_outputs"])
def test_what_the_canvas_is_told_is_what_is_declared(name: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    project = templates()[name].project
    live = Live(store, store.create_project(project))
    for shown in project.networks:
        node = next(iter(project.networks[shown].nodes.values()))
        told = payload(live, VisibleNetwork(shown, 3), "tab", ["No."], 600, wish={"type": node.type, "node": node.id})
        assert strictly(told)["about"] is not None


def test_issues_with_their_fixes_are_as_declared(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["spirals"].project))
    node = next(node for node in live.project.main_network.nodes.values() if node.type == "Output")
    live.apply({"kind": "remove", "nodes": [node.id], "edges": []})
    live.apply({"kind": "add", "nodes": [{"id": "linear_77", "type": "Linear"}], "edges": []})
    told = strictly(payload(live, VisibleNetwork("main"), "tab", [], 600))
    assert any(issue["fix"] for issue in told["derived"]["issues"])


def test_a_field_too_many_or_of_another_type_is_seen(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["spirals"].project))
    told: Any = payload(live, VisibleNetwork("main"), "tab", [], 600)
    for change in ({"more": 1}, {"height": "tall"}, {"networks": [{"name": "main"}]}):
        with pytest.raises(ValidationError):
            strictly({**told, **change})


def test_records_have_the_fields_of_the_document() -> None:
    assert NodeRecord.__required_keys__ == Node.model_fields.keys() - {"id"}
    assert NoteRecord.__required_keys__ == Note.model_fields.keys()


SELECTED = {"network": "main", "nodes": ["a"], "edges": [], "about": None, "palette": "1", "changes": 0}


@pytest.mark.parametrize(
    "message", [None, 5, [], {}, {**SELECTED, "nodes": "a"}, {**SELECTED, "nodes": [1]}, {**SELECTED, "about": {}}]
)
def test_a_malformed_message_is_none(message: object) -> None:
    assert read(Selection, SELECTED) == SELECTED
    assert read(Selection, message) is None
    assert read(NetworkWish, {"name": "block", "number": "1"}) is None
