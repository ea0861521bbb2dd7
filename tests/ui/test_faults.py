"""Whatever Netloom itself fails at on the design page: the canvas, Undo and the versions are still there."""

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
import netloom.validation.context as context_module
from netloom.document import EditError, Project, blank, dumps
from netloom.editing.live import Live
from netloom.layers import Example, TensorSpec, registry
from netloom.store import Store, StoreError, open_store
from netloom.templates import templates
from netloom.ui.design.canvas import messages
from netloom.ui.design.canvas.messages import AboutWish, CanvasData
from netloom.ui.design.canvas.payload import payload
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import analyse
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
    found = Live(store, store.create_project(templates()["spirals"].project))
    drawn(found)
    return found


def drawn(live: Live, wish: AboutWish | None = None) -> CanvasData:
    found = payload(live, VisibleNetwork("main"), "tab", [], 600, wish=wish)
    json.dumps(found, allow_nan=False)
    return found


def faults(found: CanvasData) -> list[messages.Issue]:
    return [issue for issue in found["derived"]["issues"] if issue["code"] == "internal"]


def shapes(found: CanvasData) -> dict[str, str]:
    return {key: edge["label"] for key, edge in found["derived"]["edges"].items()}


def linear(live: Live) -> str:
    return next(node.id for node in live.project.main_network.nodes.values() if node.type == "Linear")


def sync(live: Live, **edit: Any) -> list[str]:
    seq = drawn(live)["ack"]["tab"] + 1
    return live.sync({"epoch": live.editor.epoch, "client": "tab", "ops": [{"seq": seq, **edit}]})


def works(live: Live) -> CanvasData:
    """What is drawn, where edits, Undo and versions do what they should."""
    before = live.project
    node = next(iter(before.main_network.nodes))
    assert sync(live, kind="move", at={node: [before.main_network.nodes[node].at[0] + 7.0, 0]}) == []
    found = drawn(live)
    assert found["network"]["nodes"].keys() == before.main_network.nodes.keys()
    assert found["can_undo"]
    assert sync(live, kind="undo") == []
    assert live.project == before == live.store.load(live.id).project
    assert live.store.version(live.id, live.store.versions(live.id)[-1].number)
    return found


def standing(name: str, example: Example) -> Project:
    """A layer between the Inputs and the Outputs that it asks for."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {"layer_1": (name, dict(example.params))}
    edges = []
    for number, (port, spec) in enumerate(example.inputs.items()):
        nodes[f"input_{number}"] = ("Input", {"kind": kind(spec), "shape": list(spec.shape[1:])})
        edges.append((f"input_{number}", f"layer_1.{port}"))
    layer = registry()[name].model_validate(dict(example.params))
    for number, given in enumerate(layer.outputs()):
        nodes[f"output_{number}"] = ("Output", {"name": f"o{number}"})
        edges.append((f"layer_1.{given.name}", f"output_{number}"))
    return project(nodes, edges)


def kind(spec: TensorSpec) -> str:
    return "indices" if spec.dtype == "int" and spec.kind != "tokens" else "tensor" if spec.kind == "any" else spec.kind


BUILDS = {name: layer.build for name, layer in registry().items()}
INNER = [name for name, layer in registry().items() if name not in ("Input", "Output", "Subnetwork")]


def test_each_layer_may_fail_to_be_built(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    for name in INNER:
        layer = registry()[name]
        example = next(iter(layer.examples()), None)
        if layer.refusal() or example is None:
            continue
        document = standing(name, example)
        good = analyse(document)
        with monkeypatch.context() as patch:
            patch.setattr(context_module, "measure", measure.__wrapped__)
            patch.setattr(layer, "build", boom)
            found = analyse(document, before=good)
            if tried % 16 == 0:
                with patch.context() as whole:
                    whole.setattr(layer, "build", BUILDS[name])
                    live.replace(document)
                    before = shapes(drawn(live))
                assert shapes(works(live)) == before or layer.own_code
        new = [issue for issue in found.errors if issue not in good.errors]
        assert [issue.node for issue in new] == ["layer_1"], name
        assert "layer_1" in new[0].message
        if not layer.own_code:  # what is wrong in that is its author's
            assert new[0].code == "internal", name
            assert found.nodes["layer_1"] == good.nodes["layer_1"], name
        tried += 1
    assert tried > 200
    assert "boom" in (live.store.home / "errors.jsonl").read_text()


def test_each_rule_may_fail(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    good = drawn(live)
    for rule in rules():
        with monkeypatch.context() as patch:
            patch.setattr(type(rule), "check", boom)
            found = works(live)
        assert len(faults(found)) == 1, type(rule).__name__
        assert type(rule).__name__ in faults(found)[0]["message"]
        assert shapes(found) == shapes(good)
        assert found["derived"]["totals"] == good["derived"]["totals"]


PARTS: dict[str, tuple[Any, str]] = {
    "all of the analysis": (netloom.editing.analyses, "analyse"),
    "the order of layers": (context_module, "execution_order"),
    "the totals": (context_module.Context, "_totals"),
    "the data": (netloom.editing.live, "schema"),
    "shapes": (netloom.ui.design.canvas.payload, "derived"),
    "the palette": (netloom.ui.design.canvas.payload, "palette"),
    "the networks": (netloom.ui.design.canvas.payload, "networks"),
    "a layer's ports": (registry()["Linear"], "inputs"),
    "a layer's line": (registry()["Linear"], "brief"),
    "help": (netloom.ui.design.canvas.payload, "about"),
}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_what_the_canvas_is_told_may_fail(part: str, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    good = drawn(live)
    monkeypatch.setattr(*PARTS[part], boom)
    if part == "a layer's line":  # what did not change is not described again
        live.apply({"kind": "set", "node": linear(live), "params": {"bias": False}})
        assert faults(drawn(live)) == faults(drawn(live)), "and what failed is"
    found = works(live)
    if part == "the data":
        assert "failed to read this data (KeyError)" in live.data_problem()
        return
    assert faults(found)
    assert {issue["message"].count("'boom'") for issue in faults(found)} == {1}
    if part in ("all of the analysis", "the order of layers", "the totals", "help", "a layer's line"):
        assert shapes(found) == shapes(good), "the last that are known"
    assert "boom" in (live.store.home / "errors.jsonl").read_text()


def test_a_failure_is_logged_once_however_often_it_is_drawn(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(rules()[0]), "check", boom)
    for _ in range(3):
        sync(live, kind="undo")
        live.apply({"kind": "project", "notes": str(_)})
        drawn(live)
    assert (live.store.home / "errors.jsonl").read_text().count('"where": "analysis"') == 1


def test_a_save_that_fails_is_said_and_tried_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", boom)
        told = live.apply({"kind": "project", "name": "Kept here"})
        assert "Not saved" in told[0]
        assert not drawn(live)["saved"]
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
def test_each_part_of_the_page_may_fail(part: str, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(netloom.ui.design.page, "canvas", lambda **named: told.append(named["data"]))
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
    assert bool(told) == (part != "payload")
    if part == "payload":
        assert "Restore" in {button.label for button in app.button}


def large(notes: int, first: int = 0) -> dict[str, Any]:
    edits = [
        {"kind": "note", "id": f"note_{number}", "note": {"text": "ä" * 10_000}}
        for number in range(first, first + notes)
    ]
    return {"kind": "batch", "edits": edits}


def limit(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in (netloom.document.files, netloom.store.projects):
        monkeypatch.setattr(module, "MAX_BYTES", size)


def test_an_edit_that_makes_a_document_too_large_is_refused(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 200_000)
    assert live.apply(large(5)) == []
    with pytest.raises(EditError, match="at most 200,000"):
        live.apply(large(10))
    refused = sync(live, **large(10))
    assert len(refused) == 1
    assert "Shorten or remove notes" in refused[0]
    copies = {f"copy_{number}": live.project.main_network for number in range(3)}
    with pytest.raises(EditError, match="at most"):
        live.replace(live.project.model_copy(update={"networks": {**copies, **live.project.networks}}))
    kept = Live(live.store, live.id)
    assert kept.project == live.project
    assert len(kept.project.main_network.notes) == 5
    works(live)


def test_what_is_too_large_already_can_be_opened_and_made_smaller(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    live.apply(large(30))
    limit(monkeypatch, 200_000)  # as if it had been kept by a Netloom that had no limit
    again = Live(live.store, live.id)
    assert len(again.project.main_network.notes) == 30
    with pytest.raises(EditError, match="at most"):
        again.apply(large(1, first=40))
    assert again.apply({"kind": "note", "id": "note_1", "note": None}) == []
    assert len(live.store.load(live.id).project.main_network.notes) == 29


def test_a_project_that_could_not_be_opened_is_not_kept(store: Store) -> None:
    notes = {f"note_{number}": {"text": "ä" * 20_000} for number in range(600)}
    value = {**json.loads(dumps(blank("Large"))), "networks": {"main": {"notes": notes}}}
    with pytest.raises(StoreError, match="at most"):
        store.create_project(Project.model_validate(value))
    assert store.list_projects() == []
