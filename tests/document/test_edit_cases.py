"""The editor on the cases of edits that it shares with the browser's copy of the document; see edit_cases/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.document import Editor, Project, canvas_network

FOLDER = Path(__file__).parent / "edit_cases"
DOCUMENTS: dict[str, Any] = json.loads((FOLDER / "documents.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "documents"
    for case in json.loads(path.read_text(encoding="utf-8"))
]
CLIENT = "tab"


def patched(value: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    known = value if isinstance(value, dict) else {}
    kept = {key: part for key, part in known.items() if key not in patch}
    return kept | {key: patched(known.get(key), part) for key, part in patch.items() if part is not None}


def document(networks: dict[str, Any]) -> Project:
    whole = {
        name: {**network, "edges": [{"source": s, "target": t} for t, s in network.get("edges", {}).items()]}
        for name, network in networks.items()
    }
    return Project.model_validate({"name": "Case", "networks": whole})


def comparable(project: Project) -> dict[str, Any]:
    """The networks without the order of their edges, which means nothing."""
    networks = project.model_dump(mode="json")["networks"]
    return {
        name: {**network, "edges": {edge["target"]: edge["source"] for edge in network["edges"]}}
        for name, network in networks.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_the_editor_makes_the_edits_of_a_case(case: dict[str, Any]) -> None:
    before = document(DOCUMENTS[case["before"]])
    editor = Editor(before)
    editor.sync({"epoch": editor.epoch, "client": CLIENT, "ops": []})
    known = editor.foreign_revision(CLIENT)
    ops = [{"network": case["shown"], **edit, "seq": seq} for seq, edit in enumerate(case["edits"], 1)]
    refusals = editor.sync({"epoch": editor.epoch, "client": CLIENT, "ops": ops})
    expected = case.get("refused", [])
    assert len(refusals) == len(expected), refusals
    assert all(part in sentence for part, sentence in zip(expected, refusals, strict=True)), refusals
    after = document(patched(DOCUMENTS[case["before"]], case.get("after", {})))
    assert comparable(editor.project) == comparable(after)
    assert editor.acks == {CLIENT: len(ops)}
    # The browser takes the snapshot where its own copy may be another one, and only there.
    alone = case.get("browser") in ("waits", "corrected")
    assert (editor.foreign_revision(CLIENT) > known) == (alone or bool(refusals))


def test_what_a_browser_keeps_is_what_it_would_be_sent() -> None:
    """Nothing of a network is sent that the cases leave out."""
    project = document(DOCUMENTS["chain"])
    main = comparable(project)["main"]
    sent = canvas_network(project)
    assert sent["nodes"] == {key: {k: v for k, v in node.items() if k != "id"} for key, node in main["nodes"].items()}
    assert {key: edge["source"] for key, edge in sent["edges"].items()} == main["edges"]
    assert sent["notes"] == main["notes"]


def test_every_kind_of_edit_has_cases() -> None:
    def kinds(edits: list[dict[str, Any]]) -> set[str]:
        return {kind for edit in edits for kind in ({edit["kind"]} | kinds(edit.get("edits", [])))}

    found = kinds([edit for case in CASES for edit in case.values[0]["edits"]])  # type: ignore[index]
    assert found >= {
        "add", "remove", "move", "connect", "order", "set", "update", "note", "batch", "project", "undo", "redo",
        "create_network", "delete_network", "rename_network", "parameters", "rename_parameter", "group", "unpack",
    }  # fmt: skip
    assert len(CASES) >= 60
