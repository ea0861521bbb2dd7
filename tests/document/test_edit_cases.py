"""The editor on the edit cases that it shares with the browser's copy of the document; see edit_cases/README.md."""

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


def merge_patch(value: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    current = value if isinstance(value, dict) else {}
    unchanged = {key: part for key, part in current.items() if key not in patch}
    return unchanged | {key: merge_patch(current.get(key), part) for key, part in patch.items() if part is not None}


def project_of(networks: dict[str, Any]) -> Project:
    complete_networks = {
        name: {**network, "edges": [{"source": s, "target": t} for t, s in network.get("edges", {}).items()]}
        for name, network in networks.items()
    }
    return Project.model_validate({"name": "Case", "networks": complete_networks})


def comparable(project: Project) -> dict[str, Any]:
    """The networks without the order of their edges, which has no meaning."""
    networks = project.model_dump(mode="json")["networks"]
    return {
        name: {**network, "edges": {edge["target"]: edge["source"] for edge in network["edges"]}}
        for name, network in networks.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_editor_applies_the_edits_of_a_case(case: dict[str, Any]) -> None:
    before = project_of(DOCUMENTS[case["before"]])
    editor = Editor(before)
    editor.sync({"epoch": editor.epoch, "client": CLIENT, "ops": []})
    revision_before = editor.foreign_revision(CLIENT)
    ops = [{"network": case["shown"], **edit, "seq": seq} for seq, edit in enumerate(case["edits"], 1)]
    refusals = editor.sync({"epoch": editor.epoch, "client": CLIENT, "ops": ops})
    expected = case.get("refused", [])
    assert len(refusals) == len(expected), refusals
    assert all(part in sentence for part, sentence in zip(expected, refusals, strict=True)), refusals
    after = project_of(merge_patch(DOCUMENTS[case["before"]], case.get("after", {})))
    assert comparable(editor.project) == comparable(after)
    assert editor.acks == {CLIENT: len(ops)}
    # The browser takes the snapshot only if its own copy may differ.
    browser_differs = case.get("browser") in ("waits", "corrected")
    assert (editor.foreign_revision(CLIENT) > revision_before) == (browser_differs or bool(refusals))


def test_canvas_network_matches_the_case_format() -> None:
    """The cases cover all that is sent of a network."""
    project = project_of(DOCUMENTS["chain"])
    main = comparable(project)["main"]
    sent = canvas_network(project)
    left_out = {"id", "initialization"}  # the second where it is not set
    nodes = main["nodes"].items()
    assert sent["nodes"] == {key: {k: v for k, v in node.items() if k not in left_out} for key, node in nodes}
    assert {key: edge["source"] for key, edge in sent["edges"].items()} == main["edges"]
    assert sent["notes"] == main["notes"]


def test_every_edit_kind_has_cases() -> None:
    def kinds(edits: list[dict[str, Any]]) -> set[str]:
        return {kind for edit in edits for kind in ({edit["kind"]} | kinds(edit.get("edits", [])))}

    covered_kinds = kinds([edit for case in CASES for edit in case.values[0]["edits"]])  # type: ignore[index]
    assert covered_kinds >= {
        "add", "remove", "move", "connect", "order", "set", "update", "note", "batch", "project", "undo", "redo",
        "create_network", "delete_network", "rename_network", "parameters", "rename_parameter", "group", "unpack",
    }  # fmt: skip
    assert len(CASES) >= 60
