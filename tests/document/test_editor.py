"""Edits and the editor: changes, undo, acknowledgments, and two tabs on one project."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from netloom.document import DocumentError, EditError, Editor, apply, blank, canvas_network, dumps, loads, parse
from netloom.document.network import MAX_EDGES
from tests.networks import digits_mlp


def _add(node: str, layer: str = "ReLU") -> dict[str, Any]:
    return {"kind": "add", "nodes": [{"id": node, "type": layer, "at": [0, 0]}]}


def _message(editor: Editor, client: str, *edits: dict[str, Any], first: int = 1) -> dict[str, Any]:
    ops = [{"seq": first + i, **edit} for i, edit in enumerate(edits)]
    return {"epoch": editor.epoch, "client": client, "ops": ops}


def test_connecting_replaces_the_edge_at_a_port() -> None:
    project = digits_mlp()
    changed = apply(project, {"kind": "connect", "source": "flatten_1", "target": "relu_1"})
    sources = {edge.target: edge.source for edge in changed.main_network.edges}
    assert sources["relu_1"] == "flatten_1"
    assert len(changed.main_network.edges) == len(project.main_network.edges)


def test_removing_a_node_removes_its_edges() -> None:
    changed = apply(digits_mlp(), {"kind": "remove", "nodes": ["relu_1"], "edges": []})
    ends = {end for edge in changed.main_network.edges for end in (edge.source_node, edge.target_node)}
    assert "relu_1" not in ends | set(changed.main_network.nodes)


@pytest.mark.parametrize(
    "edit",
    [
        {},
        {"kind": "explode"},
        {"kind": []},
        {"kind": "add", "nodes": [{"id": "relu_1", "type": "ReLU"}]},
        {"kind": "add", "nodes": [{"id": "Bad Id", "type": "ReLU"}]},
        {"kind": "add", "nodes": 3},
        {"kind": "connect", "source": "relu_1"},
        {"kind": "connect", "source": "nothing_1", "target": "relu_1"},
        {"kind": "set", "node": "nothing_1", "params": {}},
        {"kind": "set", "node": "relu_1", "params": {"x": float("nan")}},
        {"kind": "update", "node": "relu_1", "title": 3},
        {"kind": "move", "at": {"relu_1": ["x", 2]}},
        {"kind": "move", "at": {"relu_1": [float("inf"), 2]}},
        {"kind": "note", "id": "relu_1", "note": {"text": "x"}},
        {"kind": "note", "id": "note_1", "note": {"text": "x", "width": -1}},
        {"kind": "set", "node": "relu_1", "params": {}, "network": "elsewhere"},
        {"kind": "update", "node": "relu_1", "title": "\ud800"},
        {"kind": "set", "node": "relu_1", "params": {"x": {1, 2}}},
        {"kind": "project", "training": {"epochs": -1}},
        {"kind": "batch", "edits": [{"kind": "batch", "edits": []}]},
        {"kind": "batch", "edits": [_add("relu_7"), {"kind": "explode"}]},
    ],
)
def test_rejected_edit_changes_nothing(edit: dict[str, Any]) -> None:
    editor = Editor(digits_mlp())
    with pytest.raises(EditError) as caught:
        editor.apply(edit)
    assert "\n" not in str(caught.value)
    assert editor.project == digits_mlp()
    assert not editor.can_undo


def test_every_edit_can_be_undone_and_redone() -> None:
    edits: list[dict[str, Any]] = [
        _add("relu_2"),
        {"kind": "connect", "source": "linear_2", "target": "relu_2"},
        {"kind": "move", "at": {"relu_2": [10, 20], "linear_1": [1, 2]}},
        {"kind": "set", "node": "linear_1", "params": {"units": 7}},
        {"kind": "update", "node": "linear_1", "title": "First", "frozen": True, "note": "why"},
        {"kind": "note", "id": "note_1", "note": {"text": "Hello", "at": [5, 5]}},
        {"kind": "note", "id": "note_1", "note": None},
        {"kind": "project", "name": "New", "training": {"epochs": 5}, "data": {"dataset": "wine"}},
        {"kind": "batch", "edits": [_add("gelu_1", "GELU"), {"kind": "remove", "nodes": ["relu_1"], "edges": []}]},
        {"kind": "remove", "nodes": [], "edges": ["relu_2"]},
    ]
    editor = Editor(digits_mlp())
    states = [editor.project]
    for edit in edits:
        assert editor.apply(edit)
        states.append(editor.project)
    for state in reversed(states[:-1]):
        assert editor.apply({"kind": "undo"})
        assert editor.project == state
    for state in states[1:]:
        assert editor.apply({"kind": "redo"})
        assert editor.project == state


def test_history_holds_at_least_a_hundred_steps() -> None:
    editor = Editor(blank("x"))
    for number in range(150):
        editor.apply(_add(f"relu_{number}"))
    undone = 0
    while editor.apply({"kind": "undo"}):
        undone += 1
    assert undone == 150
    assert editor.project == blank("x")


def test_edit_without_effect_adds_no_undo_step() -> None:
    editor = Editor(digits_mlp())
    assert not editor.apply({"kind": "set", "node": "linear_1", "params": {"units": 64}})
    assert not editor.can_undo


def test_repeated_operations_apply_once() -> None:
    editor = Editor(blank("x"))
    message = _message(editor, "a", _add("relu_1"), _add("relu_2"))
    assert editor.sync(message) == []
    assert editor.sync(message) == []
    assert set(editor.project.main_network.nodes) == {"relu_1", "relu_2"}
    assert editor.acks == {"a": 2}


def test_foreign_revision_counts_only_edits_of_others() -> None:
    editor = Editor(blank("x"))
    editor.sync(_message(editor, "a"))
    editor.sync(_message(editor, "b"))
    before = editor.foreign_revision("a"), editor.foreign_revision("b")
    editor.sync(_message(editor, "a", _add("relu_1")))
    assert editor.foreign_revision("a") == before[0]
    assert editor.foreign_revision("b") == editor.revision > before[1]
    editor.apply({"kind": "undo"})
    assert editor.foreign_revision("a") == editor.foreign_revision("b") == editor.revision


def test_rejected_operation_raises_the_foreign_revision_of_its_client() -> None:
    editor = Editor(blank("x"))
    editor.sync(_message(editor, "a", _add("relu_1")))
    before = editor.foreign_revision("a")
    refusals = editor.sync(_message(editor, "a", _add("relu_1"), first=2))
    assert len(refusals) == 1
    assert editor.foreign_revision("a") > before
    assert editor.acks["a"] == 2


def test_operations_of_another_epoch_are_rejected() -> None:
    editor = Editor(blank("x"))
    message = {**_message(editor, "a", _add("relu_1")), "epoch": "other"}
    assert len(editor.sync(message)) == 1
    assert not editor.project.main_network.nodes


@pytest.mark.parametrize("message", [None, 3, {}, {"epoch": "e", "client": 3, "ops": []}, {"epoch": 1, "ops": {}}])
def test_malformed_message_is_reported(message: Any) -> None:
    assert len(Editor(blank("x")).sync(message)) == 1


def test_restarted_server_replays_the_outbox_without_loss() -> None:
    editor = Editor(blank("x"))
    editor.sync(_message(editor, "a", _add("relu_1")))
    saved = loads(dumps(editor.project)), editor.epoch, editor.revision, dict(editor.acks)
    editor.sync(_message(editor, "a", _add("relu_2"), first=2))  # lost with the server
    restarted = Editor(*saved)
    assert restarted.sync(_message(restarted, "a", _add("relu_1"), _add("relu_2"))) == []
    assert set(restarted.project.main_network.nodes) == {"relu_1", "relu_2"}


def test_concurrent_tabs_end_in_the_same_document() -> None:
    editor = Editor(blank("x"))

    def work(client: str) -> None:
        rng = random.Random(client)
        for seq in range(1, 101):
            edit = _add(f"{client}_{rng.randrange(30)}")
            editor.sync(_message(editor, client, edit, first=seq))

    workers = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert editor.acks == {"a": 100, "b": 100, "c": 100}
    expected = {f"{name}_{number}" for name in "abc" for number in _node_numbers(name)}
    assert set(editor.project.main_network.nodes) == expected
    assert set(canvas_network(editor.project)["nodes"]) == expected


def _node_numbers(name: str) -> set[int]:
    rng = random.Random(name)
    return {rng.randrange(30) for _ in range(100)}


def test_ungrouping_too_many_layers_is_rejected() -> None:
    inner = {"nodes": {"relu_1": {"type": "ReLU"}}}
    nodes = {"inner_1": {"type": "Subnetwork", "params": {"network": "inner", "repeat": 10**9}}}
    project = parse({"name": "x", "networks": {"main": {"nodes": nodes}, "inner": inner}})
    with pytest.raises(EditError, match="1000000000 times 1 layers"):
        apply(project, {"kind": "unpack", "node": "inner_1"})


def test_rename_beyond_the_parameter_size_limit_is_rejected() -> None:
    nodes = {"linear_1": {"type": "Linear", "params": {"units": ["x + " * 40 + "x"] * 300}}}
    project = parse({"name": "x", "networks": {"main": {"nodes": nodes, "parameters": {"x": 1}}}})
    assert loads(dumps(project)) == project
    edit = {
        "kind": "rename_parameter",
        "network": "main",
        "name": "x",
        "to": "y" * 60,
        "numbers": {"Linear": ["units"]},
    }
    with pytest.raises(EditError, match="65,536 bytes"):
        apply(project, edit)


def test_number_of_edges_is_limited() -> None:
    edges = [{"source": "relu_1", "target": f"relu_1.p{number}"} for number in range(MAX_EDGES)]
    value = {"name": "x", "networks": {"main": {"nodes": {"relu_1": {"type": "ReLU"}}, "edges": edges}}}
    full = parse(value)
    apply(full, {"kind": "connect", **edges[0]})
    with pytest.raises(EditError, match="at most 20,000 edges"):
        apply(full, {"kind": "connect", "source": "relu_1", "target": "relu_1.a"})
    edges.append({"source": "relu_1", "target": "relu_1.a"})
    with pytest.raises(DocumentError, match="at most 20,000 edges"):
        parse(value)
