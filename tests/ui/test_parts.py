"""Which edits redraw the parts of the design page beside the canvas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netloom.editing.live import Live
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.design.parts import changes


@pytest.fixture
def live(tmp_path: Path) -> Live:
    store = open_store(tmp_path)
    return Live(store, store.create_project(templates()["spirals"].project))


def changes_after(live: Live, **edit: Any) -> int:
    before = changes(live, "main")
    live.sync({"epoch": live.view.state.epoch, "client": "tab", "ops": [{"seq": live.view.state.revision + 1, **edit}]})
    return changes(live, "main") - before


NOTE = {"text": "Twice", "at": [0.0, 0.0], "width": 200.0, "height": 100.0}


@pytest.mark.parametrize(
    "edit",
    [{"kind": "move", "at": {"linear_1": [5.0, 5.0]}}, {"kind": "note", "id": "note_1", "note": NOTE}],
    ids=["move", "note"],
)
def test_layout_edits_update_only_the_canvas(edit: dict[str, Any], live: Live) -> None:
    revision = live.view.state.revision
    assert changes_after(live, **edit) == 0
    assert live.view.state.revision == revision + 1


@pytest.mark.parametrize(
    "edit",
    [
        {"kind": "set", "node": "linear_1", "params": {"units": 77}},
        {"kind": "update", "node": "linear_1", "note": "Wide"},
        {"kind": "add", "nodes": [{"id": "tanh_77", "type": "Tanh"}], "edges": []},
        {"kind": "remove", "nodes": ["linear_1"], "edges": []},
        {"kind": "project", "name": "Renamed"},
        {"kind": "project", "training": {"batch_size": 7}},
        {"kind": "create_network", "name": "block"},
        {"kind": "parameters", "network": "main", "values": {"width": 3}},
    ],
    ids=lambda edit: edit["kind"],
)
def test_semantic_edits_update_the_side_panels(edit: dict[str, Any], live: Live) -> None:
    assert "linear_1" in live.project.main_network.nodes
    assert changes_after(live, **edit) == 1


def test_change_counter_is_stable_without_edits(live: Live) -> None:
    before = changes(live, "main")
    assert [changes(live, "main") for _ in range(3)] == [before] * 3
