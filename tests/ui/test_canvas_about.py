"""What the canvas says of a layer when it is asked, and of remarks and frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.document import EditError, apply, blank, dumps, loads
from netloom.editing.live import Live
from netloom.layers import registry
from netloom.store import open_store
from netloom.templates import templates
from netloom.ui.design.canvas.about import about
from netloom.ui.design.canvas.payload import palette, payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import Context, analyse


@pytest.fixture(scope="module")
def context() -> Context:
    return analyse(templates()["digits_mlp"].project).context


def test_every_layer_says_what_it_is(context: Context) -> None:
    for name, layer in registry().items():
        said = about(context, {"type": name, "node": None})
        assert said is not None
        assert said["formula"] == " ".join((layer.__doc__ or "").split()) != ""
        assert [field["text"] for field in said["fields"]] == [
            field.description for field in layer.model_fields.values()
        ]
        assert all(field["name"] and field["text"].strip() and field["default"] for field in said["fields"]), name
        assert json.loads(json.dumps(said)) == said


def test_a_node_has_the_shapes_that_it_gives(context: Context) -> None:
    said = about(context, {"type": "Linear", "node": "linear_1"})
    assert said is not None
    assert said["shapes"] == {"out": str(context.nodes["linear_1"].outputs["out"])}
    assert {field["name"]: field["default"] for field in said["fields"]}["Bias"] == "yes"


def test_what_cannot_be_answered_gets_no_answer(context: Context) -> None:
    assert about(context, None) is None
    assert about(context, {"type": "Nothing", "node": None}) is None


def test_a_node_that_is_gone_has_no_shapes(context: Context) -> None:
    said = about(context, {"type": "Linear", "node": "linear_99"})
    assert said is not None
    assert said["shapes"] == {}


def test_it_is_sent_only_when_it_is_asked_for(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["digits_mlp"].project))
    quiet = payload(live, VisibleNetwork("main"), "", [], 600)
    asked = payload(live, VisibleNetwork("main"), "", [], 600, wish={"type": "Linear", "node": "linear_1"})
    assert quiet["about"] is None
    assert asked["about"] is not None
    assert asked["about"]["type"] == "Linear"
    everything = sum(
        len(json.dumps(about(live.analysis().context, {"type": name, "node": None}))) for name in registry()
    )
    assert len(json.dumps(palette(None)[0])) < 2 * everything  # why it does not come with the palette


def test_frames_and_colours_are_part_of_the_document() -> None:
    note = {"text": "Stem", "at": [1, 2], "width": 300, "height": 200, "color": "purple", "frame": True}
    project = apply(blank("x"), {"kind": "note", "id": "frame_1", "note": note})
    assert loads(dumps(project)).main_network.notes["frame_1"].frame
    plain = apply(project, {"kind": "note", "id": "note_1", "note": {"text": "as it was before"}})
    assert not plain.main_network.notes["note_1"].frame
    with pytest.raises(EditError, match="color"):
        apply(project, {"kind": "note", "id": "frame_1", "note": {**note, "color": "url(#x)"}})
