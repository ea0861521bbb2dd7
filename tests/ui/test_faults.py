"""Internal failures on the design page: the canvas, undo and the versions keep working."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import netloom.document.files
import netloom.editing.analyses
import netloom.editing.live
import netloom.store.projects
import netloom.ui.design.page
import netloom.validation.analysis as analysis_module
import netloom.validation.context as context_module
from netloom.document import EditError, Project, apply, blank, dumps
from netloom.editing.live import Live
from netloom.layers import Example, TensorSpec, registry
from netloom.store import Store, StoreError, open_store
from netloom.templates import templates
from netloom.ui.design.canvas import messages
from netloom.ui.design.canvas.messages import AboutWish, CanvasData
from netloom.ui.design.canvas_payload import payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import analyze
from netloom.validation.measure import measure
from netloom.validation.rule import rules
from tests.networks import project

ROOT = Path(__file__).parents[2]


def boom(*_: object, **__: object) -> Any:
    raise KeyError("boom")


@pytest.fixture
def store(home: Path) -> Store:
    return open_store(home)


@pytest.fixture
def live(store: Store) -> Live:
    instance = Live(store, store.create_project(templates()["spirals"].project))
    draw_canvas(instance)
    return instance


def draw_canvas(live: Live, wish: AboutWish | None = None) -> CanvasData:
    data = payload(live, VisibleNetwork("main"), "tab", [], 600, wish=wish)
    json.dumps(data, allow_nan=False)
    return data


def internal_issues(data: CanvasData) -> list[messages.Issue]:
    return [issue for issue in data["derived"]["issues"] if issue["code"] == "internal"]


def edge_labels(data: CanvasData) -> dict[str, str]:
    return {key: edge["label"] for key, edge in data["derived"]["edges"].items()}


def linear_node(live: Live) -> str:
    return next(node.id for node in live.project.main_network.nodes.values() if node.type == "Linear")


def sync(live: Live, **edit: Any) -> list[str]:
    seq = draw_canvas(live)["ack"]["tab"] + 1
    return live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": [{"seq": seq, **edit}]})


def assert_editing_works(live: Live) -> CanvasData:
    """The drawn canvas, after checking that edits, undo and versions work."""
    before = live.project
    node = next(iter(before.main_network.nodes))
    assert sync(live, kind="move", at={node: [before.main_network.nodes[node].at[0] + 7.0, 0]}) == []
    data = draw_canvas(live)
    assert data["network"]["nodes"].keys() == before.main_network.nodes.keys()
    assert data["can_undo"]
    assert sync(live, kind="undo") == []
    assert live.project == before == live.store.load(live.id).project
    assert live.store.version(live.id, live.store.versions(live.id)[-1].number)
    return data


def project_with_layer(name: str, example: Example) -> Project:
    """A project with the layer between the inputs and outputs that it needs."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layer_1": (name, dict(example.params))}
    edges = []
    for number, (port, spec) in enumerate(example.inputs.items()):
        nodes[f"input_{number}"] = ("Input", {"kind": input_kind(spec), "shape": list(spec.shape[1:])})
        edges.append((f"input_{number}", f"layer_1.{port}"))
    layer = registry()[name].model_validate(dict(example.params))
    for number, output in enumerate(layer.outputs()):
        nodes[f"output_{number}"] = ("Output", {"name": f"o{number}"})
        edges.append((f"layer_1.{output.name}", f"output_{number}"))
    return project(nodes, edges)


def input_kind(spec: TensorSpec) -> str:
    return "indices" if spec.dtype == "int" and spec.kind != "tokens" else "tensor" if spec.kind == "any" else spec.kind


BUILDS = {name: layer.build for name, layer in registry().items()}
INNER = [name for name, layer in registry().items() if name not in ("Input", "Output", "Subnetwork")]


def test_layer_build_failure_is_reported_on_its_node(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    tested = 0
    for name in INNER:
        layer = registry()[name]
        example = next(iter(layer.examples()), None)
        if layer.refusal() or example is None:
            continue
        document = project_with_layer(name, example)
        good = analyze(document)
        with monkeypatch.context() as patch:
            patch.setattr(analysis_module, "measure", measure.__wrapped__)
            patch.setattr(layer, "build", boom)
            # Unchanged layers are not measured again.
            analysis = analyze(apply(document, {"kind": "move", "at": {"layer_1": [5, 5]}}), before=good)
            if tested % 16 == 0:
                with patch.context() as whole:
                    whole.setattr(layer, "build", BUILDS[name])
                    live.replace(document)
                    before = edge_labels(draw_canvas(live))
                assert edge_labels(assert_editing_works(live)) == before or layer.own_code
        new = [issue for issue in analysis.errors if issue not in good.errors]
        assert [issue.node for issue in new] == ["layer_1"], name
        assert "layer_1" in new[0].message
        if not layer.own_code:  # errors in custom code belong to its author
            assert new[0].code == "internal", name
            assert analysis.nodes["layer_1"] == good.nodes["layer_1"], name
        tested += 1
    assert tested > 200
    assert "boom" in (live.store.home / "errors.jsonl").read_text()


def test_rule_failure_is_reported_as_an_internal_issue(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    good = draw_canvas(live)
    for rule in rules():
        with monkeypatch.context() as patch:
            patch.setattr(type(rule), "check", boom)
            data = assert_editing_works(live)
        assert len(internal_issues(data)) == 1, type(rule).__name__
        assert type(rule).__name__ in internal_issues(data)[0]["message"]
        assert edge_labels(data) == edge_labels(good)
        assert data["derived"]["totals"] == good["derived"]["totals"]


PARTS: dict[str, tuple[Any, str]] = {
    "all of the analysis": (netloom.editing.analyses, "analyze"),
    "the order of layers": (context_module, "topological_order"),
    "the totals": (context_module, "bounded"),
    "the data": (netloom.editing.live, "schema"),
    "shapes": (netloom.ui.design.canvas_payload, "derived"),
    "the palette": (netloom.ui.design.canvas_payload, "palette"),
    "the networks": (netloom.ui.design.canvas_payload, "networks"),
    "a layer's ports": (registry()["Linear"], "inputs"),
    "a layer's line": (registry()["Linear"], "brief"),
    "help": (netloom.ui.design.canvas_payload, "about"),
}


@pytest.mark.parametrize("part", PARTS)
def test_payload_failure_leaves_the_canvas_usable(part: str, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    good = draw_canvas(live)
    monkeypatch.setattr(*PARTS[part], boom)
    if part == "a layer's line":  # unchanged layers are not described again
        live.apply({"kind": "set", "node": linear_node(live), "params": {"bias": False}})
        assert internal_issues(draw_canvas(live)) == internal_issues(draw_canvas(live)), "and what failed is"
    data = assert_editing_works(live)
    if part == "the data":
        assert "failed to read this data (KeyError)" in live.data_problem()
        return
    assert internal_issues(data)
    assert {issue["message"].count("'boom'") for issue in internal_issues(data)} == {1}
    if part in ("all of the analysis", "the order of layers", "the totals", "help", "a layer's line"):
        assert edge_labels(data) == edge_labels(good), "the last that are known"
    assert "boom" in (live.store.home / "errors.jsonl").read_text()


def test_repeated_failure_is_logged_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rules()[0]), "check", boom)
    for _ in range(3):
        sync(live, kind="undo")
        live.apply({"kind": "project", "notes": str(_)})
        draw_canvas(live)
    assert (live.store.home / "errors.jsonl").read_text().count('"where": "analysis"') == 1


def test_failed_save_is_reported_and_retried(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", boom)
        problems = live.apply({"kind": "project", "name": "Kept here"})
        assert "Not saved" in problems[0]
        assert not draw_canvas(live)["saved"]
    assert live.apply({"kind": "project", "notes": "more"}) == []
    assert live.store.load(live.id).project.name == "Kept here"


WIDGETS = {
    "payload": "the canvas",
    "choose_data": "data",
    "library": "library",
    "share": "sharing",
    "formula": "formula",
    "inspector": "inspector",
    "source": "code",
    "_versions": "versions",
}


@pytest.mark.parametrize("part", WIDGETS)
def test_page_part_failure_leaves_the_other_parts_usable(
    part: str, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads: list[dict[str, Any]] = []
    monkeypatch.setattr(netloom.ui.design.page, "canvas", lambda **named: payloads.append(named["data"]))
    monkeypatch.setattr(netloom.ui.design.page, part, boom)
    app = AppTest.from_file(str(ROOT / "pages" / "design.py"), default_timeout=60)
    tab = {"source": "Code", "_versions": "Versions"}.get(part, "Versions" if part == "payload" else "Layer")
    app.session_state[f"beside {live.id}"] = tab
    app.query_params["project"] = live.id
    app.run()
    assert not app.exception
    assert [item.value for item in app.error if "Netloom failed here" in item.value and "KeyError" in item.value]
    assert len(app.error) == 1
    assert app.text_input[0].value == live.project.name
    assert "Train" in {button.label for button in app.button}
    assert bool(payloads) == (part != "payload")
    if part == "payload":
        assert "Restore" in {button.label for button in app.button}


def large_edit(notes: int, first: int = 0) -> dict[str, Any]:
    edits = [
        {"kind": "note", "id": f"note_{number}", "note": {"text": "ä" * 10_000}}
        for number in range(first, first + notes)
    ]
    return {"kind": "batch", "edits": edits}


def limit_document_size(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (netloom.document.files, netloom.store.projects):
        monkeypatch.setattr(module, "MAX_BYTES", size)


def test_edit_beyond_the_size_limit_is_rejected(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_document_size(monkeypatch, 200_000)
    assert live.apply(large_edit(5)) == []
    with pytest.raises(EditError, match="at most 200,000"):
        live.apply(large_edit(10))
    refusals = sync(live, **large_edit(10))
    assert len(refusals) == 1
    assert "Shorten or remove notes" in refusals[0]
    copies = {f"copy_{number}": live.project.main_network for number in range(3)}
    with pytest.raises(EditError, match="at most"):
        live.replace(live.project.model_copy(update={"networks": {**copies, **live.project.networks}}))
    reopened = Live(live.store, live.id)
    assert reopened.project == live.project
    assert len(reopened.project.main_network.notes) == 5
    assert_editing_works(live)


def test_oversized_document_opens_and_can_shrink(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.apply(large_edit(30))
    limit_document_size(monkeypatch, 200_000)  # as if an earlier version without a limit had saved it
    reopened = Live(live.store, live.id)
    assert len(reopened.project.main_network.notes) == 30
    with pytest.raises(EditError, match="at most"):
        reopened.apply(large_edit(1, first=40))
    assert reopened.apply({"kind": "note", "id": "note_1", "note": None}) == []
    assert len(live.store.load(live.id).project.main_network.notes) == 29


def test_oversized_project_is_not_created(store: Store) -> None:
    notes = {f"note_{number}": {"text": "ä" * 20_000} for number in range(600)}
    value = {**json.loads(dumps(blank("Large"))), "networks": {"main": {"notes": notes}}}
    with pytest.raises(StoreError, match="at most"):
        store.create_project(Project.model_validate(value))
    assert store.list_projects() == []
