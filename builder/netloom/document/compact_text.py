"""The compact text of the successive documents of an editor, which share most of their parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netloom.document.files import compact, data_json, network_head, node_json, note_json, training_json
from netloom.document.network import Edge, Network
from netloom.document.project import Project

_Part = TypeVar("_Part")


class CompactText:
    """Writes documents as `netloom.document.files.compact` does.

    The text of each part is reused as long as the documents contain it: they are immutable, so the same object has not
    changed. After an edit, this takes a tenth of the time of `compact`.
    """

    def __init__(self) -> None:
        self._project: Project | None = None
        self._text = ""
        # By the id of a part. The part is stored with its text, so that its id is not used again.
        self._known: dict[int, tuple[object, str]] = {}
        self._used: dict[int, tuple[object, str]] = {}

    def of(self, project: Project) -> str:
        """Return the compact text of a document."""
        if project is not self._project:
            self._used = {}
            self._text = self._project_text(project)
            self._project, self._known = project, self._used
        return self._text

    def _project_text(self, project: Project) -> str:
        value = project.model_dump(mode="json", exclude={"networks", "data", "training"})
        texts = {name: _dumps(part) for name, part in value.items()}
        texts["data"] = self._part(project.data, data_json)
        texts["training"] = self._part(project.training, training_json)
        texts["networks"] = _object({name: self._network(network) for name, network in project.networks.items()})
        return _object(texts)

    def _network(self, network: Network) -> str:
        texts = {name: _dumps(part) for name, part in network_head(network).items()}
        texts["nodes"] = _object({key: self._part(node, node_json) for key, node in network.nodes.items()})
        edges = ",".join([self._part(edge, _edge_json) for edge in network.edges])
        texts["edges"] = f"[{edges}]"
        texts["notes"] = _object({key: self._part(note, note_json) for key, note in network.notes.items()})
        return _object(texts)

    def _part(self, part: _Part, to_json: Callable[[_Part], dict[str, Any]]) -> str:
        key = id(part)
        entry = self._known.get(key)
        if entry is None or entry[0] is not part:
            entry = (part, compact(to_json(part)))
        self._used[key] = entry
        return entry[1]


def _edge_json(edge: Edge) -> dict[str, Any]:
    return edge.model_dump(mode="json")


def _dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _object(texts: Mapping[str, str]) -> str:
    """Return a JSON object of values that are text already. The keys are identifiers or names of fields."""
    members = ",".join([f'"{key}":{texts[key]}' for key in sorted(texts)])
    return f"{{{members}}}"
