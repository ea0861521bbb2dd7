"""The editor: the state of one open project, shared by every tab that shows it.

It holds the document, its history and what each browser has acknowledged. It does no input or output; its owner saves
`project`, `epoch`, `revision` and `acks` together, so that a restarted server continues where this one stopped.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netloom.document.compact_text import CompactText
from netloom.document.edits import Edit, EditError, apply
from netloom.document.files import storage_problem
from netloom.document.network import Node
from netloom.document.network_edits import COMPOSITIONS
from netloom.document.project import Project

HISTORY = 200
MAX_CLIENTS = 50


@dataclass(frozen=True)
class EditorState:
    """The state of an editor at one moment. It is immutable, so that a page can read it without a lock.

    `own_revisions` holds the last revision that each client made, `foreign_revisions` the last one that it did not
    make.
    """

    project: Project
    epoch: str
    revision: int
    acks: Mapping[str, int]
    can_undo: bool
    can_redo: bool
    own_revisions: Mapping[str, int]
    foreign_revisions: Mapping[str, int]

    def foreign_revision(self, client: str) -> int:
        """The last revision that `client` did not make. When it grows, the browser loads the whole document."""
        # Without a record of the client, it may have missed any change: the current revision makes it reload.
        return self.foreign_revisions.get(client, self.revision if client not in self.own_revisions else 0)


class Editor:
    """Applies edits to one project and records which client made them.

    `epoch` identifies this history: operations of another epoch are refused, because their base is unknown. `revision`
    counts changes. `acks` holds the number of the last applied operation of each client. An owner that guards more than
    the editor passes its own `lock`: two locks could be taken in two orders, which is a deadlock.
    """

    def __init__(
        self,
        project: Project,
        epoch: str = "",
        revision: int = 0,
        acks: Mapping[str, int] | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        # Reentrant, because `sync` holds it while `apply` takes it again
        self.lock = lock or threading.RLock()
        self._project = project
        self.epoch = epoch or uuid.uuid4().hex
        self.revision = revision
        self.acks: dict[str, int] = dict(acks or {})
        self._texts = CompactText()
        self._undo: list[Project] = []
        self._redo: list[Project] = []
        self._own_revisions: dict[str, int] = {}
        self._foreign_revisions: dict[str, int] = {}
        # How the document changed since its owner last cleared this set.
        self.changes: set[Literal["edit", "replacement", "travel"]] = set()

    @property
    def project(self) -> Project:
        return self._project

    @property
    def text(self) -> str:
        """The compact text of the document, as it is stored. It is computed under the lock, and once per document."""
        with self.lock:
            return self._texts.of(self._project)

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def foreign_revision(self, client: str) -> int:
        """The last revision that `client` did not make. When it grows, the browser loads the whole document."""
        return self.state().foreign_revision(client)

    def state(self) -> EditorState:
        """The current state."""
        with self.lock:
            return EditorState(
                self._project,
                self.epoch,
                self.revision,
                dict(self.acks),
                self.can_undo,
                self.can_redo,
                dict(self._own_revisions),
                dict(self._foreign_revisions),
            )

    def apply(self, edit: Edit, origin: str | None = None) -> bool:
        """Apply one edit, which may be an undo or a redo. Returns whether the document changed.

        Raises:
            EditError: the edit does not apply; the document is unchanged.
        """
        with self.lock:
            if not isinstance(edit, Mapping):
                raise EditError("An edit is a JSON object with a kind.")
            kind = edit.get("kind")
            if kind in ("undo", "redo"):
                return self._undo_or_redo(kind)
            project = apply(self._project, edit)
            if project == self._project:
                return False
            # Undo and Redo need no check: an earlier document had a valid size.
            if sentence := storage_problem(project, self._project, self._texts.of(project)):
                raise EditError(sentence)
            # Whole documents instead of inverse edits: they share every part that an edit did not change.
            self._undo = [*self._undo[-HISTORY + 1 :], self._project]
            self._redo = []
            # Browsers do not compute edits of several networks: each one loads the whole document.
            needs_snapshot = _is_composition(edit) or _reaches_further(edit, self._project, project)
            self._set_project(project, None if needs_snapshot else origin)
            self.changes.add("edit")
            return True

    def replace(self, project: Project) -> bool:
        """Replace the document (by an import, or an old version) in one step that can be undone.

        Raises:
            EditError: it is too large; the document is unchanged.
        """
        with self.lock:
            if project == self._project:
                return False
            # Undo and Redo need no check: an earlier document had a valid size.
            if sentence := storage_problem(project, self._project, self._texts.of(project)):
                raise EditError(sentence)
            self._undo = [*self._undo[-HISTORY + 1 :], self._project]
            self._redo = []
            self._set_project(project, None)
            self.changes.add("replacement")
            return True

    def sync(self, message: Any) -> list[str]:
        """Apply the operations of one message from the canvas that were not applied before.

        Returns why operations were refused, as sentences. A refused operation counts as a change by another client, so
        that the browser drops its optimistic copy of it.
        """
        try:
            epoch, client, ops = message["epoch"], message["client"], message["ops"]
            if not (isinstance(client, str) and 0 < len(client) <= 64 and isinstance(ops, list)):
                raise TypeError
        except (TypeError, KeyError, IndexError):
            return ["The canvas sent an invalid message; reload the page."]
        with self.lock:
            self._register(client)
            if epoch != self.epoch:
                # The operations refer to another history: this makes the browser load the current document.
                self._foreign_revisions[client] = self.revision
                return (
                    ["The project was replaced by another version; edits that were not yet applied were discarded."]
                    if ops
                    else []
                )
            refusals: list[str] = []
            for op in ops:
                refusals += self._operation(client, op)
            return refusals

    def _operation(self, client: str, op: Any) -> list[str]:
        seq = op.get("seq") if isinstance(op, dict) else None
        if not isinstance(seq, int) or isinstance(seq, bool):
            return ["The canvas sent an edit without a sequence number; reload the page."]
        # The browser sends an operation again until it is acknowledged, for example after a lost connection.
        if seq <= self.acks.get(client, 0):
            return []
        self.acks.pop(client, None)  # the most recent client is last
        self.acks[client] = seq
        while len(self.acks) > MAX_CLIENTS:  # they are saved with the document, so their number is limited
            self.acks.pop(next(iter(self.acks)))
        try:
            # The server completed this edit, so the copy in the browser differs: it loads the whole document.
            origin = None if op.get("completed") else client
            self.apply({key: value for key, value in op.items() if key not in ("seq", "completed")}, origin=origin)
        except EditError as error:
            return [self._refuse(client, str(error))]
        except Exception as error:  # the edits after it still apply
            return [
                self._refuse(
                    client,
                    f"This edit failed because of a bug in Netloom ({type(error).__name__}); it was not applied.",
                )
            ]
        return []

    def _refuse(self, client: str, sentence: str) -> str:
        # The revision grows without a change of the document, so that the browser reloads and drops the refused edit.
        self.revision += 1
        self._foreign_revisions[client] = self.revision
        return sentence

    def _register(self, client: str) -> None:
        if client not in self._own_revisions:
            self._own_revisions[client] = 0
            # A new browser has just loaded the current document.
            self._foreign_revisions.setdefault(client, self.revision)
            while len(self._own_revisions) > MAX_CLIENTS:
                oldest = next(iter(self._own_revisions))
                self._own_revisions.pop(oldest)
                self._foreign_revisions.pop(oldest, None)

    def _undo_or_redo(self, kind: str) -> bool:
        source, target = (self._undo, self._redo) if kind == "undo" else (self._redo, self._undo)
        if not source:
            return False
        project = source.pop()
        target.append(self._project)
        self._set_project(project, None)
        self.changes.add("travel")
        return True

    def _set_project(self, project: Project, origin: str | None) -> None:
        self._project = project
        self.revision += 1
        for client in self._own_revisions:
            if client != origin:
                self._foreign_revisions[client] = self.revision
        if origin is not None:
            self._own_revisions[origin] = self.revision


def _parts(edit: Edit) -> Sequence[Edit]:
    return edit["edits"] if edit.get("kind") == "batch" else (edit,)


def _is_composition(edit: Edit) -> bool:
    return any(part.get("kind") in COMPOSITIONS for part in _parts(edit))


def _reaches_further(edit: Edit, before: Project, after: Project) -> bool:
    """Whether an edit changed networks that it does not name, such as edges at the nodes of a renamed port."""
    named = {part.get("network", before.main) for part in _parts(edit)}
    # Unchanged networks are shared between documents, so that comparing identities suffices.
    changed = {name for name, network in after.networks.items() if before.networks.get(name) is not network}
    return not changed <= named


Records = Mapping[str, dict[str, Any]]


def canvas_network(
    project: Project, network: str | None = None, known: tuple[Mapping[str, Node], Records] | None = None
) -> dict[str, Any]:
    """One network as JSON for the canvas: nodes, edges by their target port, and notes.

    Nodes that have not changed reuse their record in `known`: after an edit, most have not.
    """
    value = project.networks[network or project.main]
    before, records = known or ({}, {})
    # Inputs and Outputs are in their order, which the canvas keeps when it copies them.
    inputs, outputs = value.order("Input"), value.order("Output")
    order = [*inputs, *(key for key in value.nodes if key not in {*inputs, *outputs}), *outputs]
    return {
        "nodes": {
            key: records[key] if before.get(key) is value.nodes[key] else _node_record(value.nodes[key])
            for key in order
        },
        "edges": {edge.target: {"source": edge.source, "target": edge.target} for edge in value.edges},
        "notes": {key: note.model_dump(mode="json") for key, note in value.notes.items()},
    }


def _node_record(node: Node) -> dict[str, Any]:
    record = node.model_dump(mode="json", exclude={"id", "initialization"})
    return record if node.initialization is None else {**record, "initialization": node.initialization.to_json()}
