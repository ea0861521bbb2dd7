"""Messages between Python and the canvas match their declaration in both languages."""

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
from netloom.ui.design.canvas.records import NodeRecord, NoteRecord
from netloom.ui.design.canvas_payload import payload
from netloom.ui.design.state import VisibleNetwork


def test_typescript_types_are_up_to_date() -> None:
    committed = typescript.TARGET.read_text(encoding="utf-8")
    assert committed == typescript.typescript(), "Run python -m netloom.ui.design.canvas.typescript, and build."


def test_typescript_types_mark_optional_and_nullable_fields() -> None:
    generated = typescript.typescript()
    assert "export type Position = [number, number];" in generated
    assert 'export type Severity = "error" | "warning" | "hint";' in generated
    assert "  shares: string | null;\n" in generated
    assert "  label?: string;\n" in generated
    assert "  /** Null if the browser has this version already. */\n  palette: LayerType[] | null;\n" in generated


def validate_strictly(message: object) -> CanvasData:
    """The message, if it has exactly the declared fields with values of the declared types."""
    canvas_data: CanvasData = STRICT.validate_json(json.dumps(message, allow_nan=False))
    return canvas_data


def _strict_adapter() -> TypeAdapter[Any]:
    """An adapter that rejects undeclared fields and values of other types."""
    message_types: list[Any] = [
        message_type for message_type in vars(messages).values() if hasattr(message_type, "__total__")
    ]
    for message_type in message_types:
        message_type.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    try:
        return TypeAdapter(CanvasData)
    finally:
        for message_type in message_types:
            del message_type.__pydantic_config__


STRICT = _strict_adapter()


@pytest.mark.parametrize("name", ["spirals", "digits_resnet", "tales_gpt", "shapes_two_outputs"])
def test_payload_matches_its_declaration(name: str, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    project = templates()[name].project
    live = Live(store, store.create_project(project))
    for shown in project.networks:
        node = next(iter(project.networks[shown].nodes.values()))
        message = payload(
            live, VisibleNetwork(shown, 3), "tab", ["No."], 600, wish={"type": node.type, "node": node.id}
        )
        assert validate_strictly(message)["about"] is not None


def test_payload_with_fixable_issues_matches_its_declaration(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["spirals"].project))
    node = next(node for node in live.project.main_network.nodes.values() if node.type == "Output")
    live.apply({"kind": "remove", "nodes": [node.id], "edges": []})
    live.apply({"kind": "add", "nodes": [{"id": "linear_77", "type": "Linear"}], "edges": []})
    message = validate_strictly(payload(live, VisibleNetwork("main"), "tab", [], 600))
    assert any(issue["fix"] for issue in message["derived"]["issues"])


def test_strict_validation_rejects_extra_and_mistyped_fields(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["spirals"].project))
    message: Any = payload(live, VisibleNetwork("main"), "tab", [], 600)
    for change in ({"more": 1}, {"height": "tall"}, {"networks": [{"name": "main"}]}):
        with pytest.raises(ValidationError):
            validate_strictly({**message, **change})


def test_node_and_note_records_match_the_document_models() -> None:
    assert NodeRecord.__required_keys__ == Node.model_fields.keys() - {"id"}
    assert NoteRecord.__required_keys__ == Note.model_fields.keys()


SELECTED = {"network": "main", "nodes": ["a"], "edges": [], "about": None, "palette": "1", "changes": 0}


@pytest.mark.parametrize(
    "message", [None, 5, [], {}, {**SELECTED, "nodes": "a"}, {**SELECTED, "nodes": [1]}, {**SELECTED, "about": {}}]
)
def test_malformed_message_reads_as_none(message: object) -> None:
    assert read(Selection, SELECTED) == SELECTED
    assert read(Selection, message) is None
    assert read(NetworkWish, {"name": "block", "number": "1"}) is None
