"""The layer help of the canvas, and notes and frames."""

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
from netloom.ui.design.canvas_payload import palette, payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import Context, analyze


@pytest.fixture(scope="module")
def context() -> Context:
    return analyze(templates()["digits_mlp"].project).context


def test_every_layer_has_a_formula_and_field_descriptions(context: Context) -> None:
    for name, layer in registry().items():
        layer_help = about(context, {"type": name, "node": None})
        assert layer_help is not None
        assert layer_help["formula"] == " ".join((layer.__doc__ or "").split()) != ""
        assert [field["text"] for field in layer_help["fields"]] == [
            field.description for field in layer.model_fields.values()
        ]
        assert all(field["name"] and field["text"].strip() and field["default"] for field in layer_help["fields"]), name
        assert json.loads(json.dumps(layer_help)) == layer_help


def test_layer_help_shows_the_output_shapes_of_a_node(context: Context) -> None:
    layer_help = about(context, {"type": "Linear", "node": "linear_1"})
    assert layer_help is not None
    assert layer_help["shapes"] == {"out": str(context.nodes["linear_1"].outputs["out"])}
    assert {field["name"]: field["default"] for field in layer_help["fields"]}["Bias"] == "yes"


def test_layer_help_of_an_unknown_layer_is_none(context: Context) -> None:
    assert about(context, None) is None
    assert about(context, {"type": "Nothing", "node": None}) is None


def test_layer_help_of_a_deleted_node_has_no_shapes(context: Context) -> None:
    layer_help = about(context, {"type": "Linear", "node": "linear_99"})
    assert layer_help is not None
    assert layer_help["shapes"] == {}


def test_layer_help_is_sent_only_on_request(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    live = Live(store, store.create_project(templates()["digits_mlp"].project))
    without_request = payload(live, VisibleNetwork("main"), "", [], 600)
    with_request = payload(live, VisibleNetwork("main"), "", [], 600, wish={"type": "Linear", "node": "linear_1"})
    assert without_request["about"] is None
    assert with_request["about"] is not None
    assert with_request["about"]["type"] == "Linear"
    total_size = sum(
        len(json.dumps(about(live.analysis().context, {"type": name, "node": None}))) for name in registry()
    )
    assert len(json.dumps(palette(None)[0])) < 2 * total_size  # which is why the palette does not include it


def test_document_stores_frames_and_validates_their_color() -> None:
    note = {"text": "Stem", "at": [1, 2], "width": 300, "height": 200, "color": "purple", "frame": True}
    project = apply(blank("x"), {"kind": "note", "id": "frame_1", "note": note})
    assert loads(dumps(project)).main_network.notes["frame_1"].frame
    plain = apply(project, {"kind": "note", "id": "note_1", "note": {"text": "as it was before"}})
    assert not plain.main_network.notes["note_1"].frame
    with pytest.raises(EditError, match="color"):
        apply(project, {"kind": "note", "id": "frame_1", "note": {**note, "color": "url(#x)"}})
