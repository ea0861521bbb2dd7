"""Frames in the document: they may be folded, and documents without folded frames are unchanged."""

from __future__ import annotations

from netloom.compile import source
from netloom.document import blank, dumps, loads
from netloom.document.editor import Editor, canvas_network
from netloom.document.edits import apply
from tests.networks import digits_mlp

FRAME = {"text": "Stem", "at": [0, 0], "width": 300, "height": 200, "color": "blue", "frame": True}


def test_folding_a_frame_can_be_undone() -> None:
    editor = Editor(apply(digits_mlp(), {"kind": "note", "id": "frame_1", "note": FRAME}))
    before = editor.project
    assert canvas_network(before)["notes"]["frame_1"]["folded"] is False
    editor.apply({"kind": "note", "id": "frame_1", "note": {**FRAME, "folded": True}})
    folded = editor.project
    assert canvas_network(folded)["notes"]["frame_1"]["folded"] is True
    assert loads(dumps(folded)) == folded
    assert source(folded) == source(before)
    editor.apply({"kind": "move", "at": {"frame_1": [40, 40]}})
    assert editor.project.main_network.notes["frame_1"].folded
    editor.apply({"kind": "undo"})
    editor.apply({"kind": "undo"})
    assert editor.project == before


def test_unfolded_frames_are_stored_without_the_folded_field() -> None:
    document = apply(blank("Old"), {"kind": "note", "id": "frame_1", "note": FRAME})
    text = dumps(document)
    assert "folded" not in text
    assert loads(text) == document
