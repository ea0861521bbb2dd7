"""The editor: one project's living state, shared by every tab that has it open.

It keeps the document, its history and what each browser has been told. It does no input or output; whoever owns it
saves `project`, `epoch`, `revision` and `acks` together, so that a restarted server can go on where this one stopped.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from netloom.document.edits import Edit, EditError, apply
from netloom.document.files import storage_problem
from netloom.document.network_edits import COMPOSITIONS
from netloom.document.project import Node, Project

HISTORY = 200
MAX_CLIENTS = 50


@dataclass(frozen=True)
class EditorState:
    """What an editor holds at one moment. It never changes, so that a page reads it without a lock.

    `own` and `others` are the last revisions that each client made itself and did not make.
    """

    project: Project
    epoch: str
    revision: int
    acks: Mapping[str, int]
    can_undo: bool
    can_redo: bool
    own: Mapping[str, int]
    others: Mapping[str, int]

    def foreign(self, client: str) -> int:
        """The last revision that `client` did not make. When it grows, the browser takes the snapshot."""
        return self.others.get(client, self.revision if client not in self.own else 0)


class Editor:
    """Applies edits to one project and remembers who made them.

    `epoch` names this line of history: operations of another epoch are refused, as their base is unknown. `revision`
    counts changes. `acks` holds, by client, the number of the last operation applied. Whoever keeps more than an editor
    in step hands in the `lock` that guards all of it: two locks would be taken in two orders one day.
    """

    def __init__(
        self,
        project: Project,
        epoch: str = "",
        revision: int = 0,
        acks: Mapping[str, int] | None = None,
        lock: threading.RLock | None = None,
    ) -> None:
        self.lock = lock or threading.RLock()
        self._project = project
        self.epoch = epoch or uuid.uuid4().hex
        self.revision = revision
        self.acks: dict[str, int] = dict(acks or {})
        self._undo: list[Project] = []
        self._redo: list[Project] = []
        self._authors: dict[str, int] = {}
        self._others: dict[str, int] = {}
        # In which ways the document changed since its owner last asked to begin anew.
        self.changes: set[Literal["edit", "replacement", "travel"]] = set()

    @property
    def project(self) -> Project:
        return self._project

    @property
    def can_undo(self) -> bool:
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        return bool(self._redo)

    def foreign(self, client: str) -> int:
        """The last revision that `client` did not make. When it grows, the browser takes the snapshot."""
        return self.state().foreign(client)

    def state(self) -> EditorState:
        """All of it as it is now."""
        with self.lock:
            return EditorState(
                self._project,
                self.epoch,
                self.revision,
                dict(self.acks),
                self.can_undo,
                self.can_redo,
                dict(self._authors),
                dict(self._others),
            )

    def apply(self, edit: Edit, origin: str | None = None) -> bool:
        """Apply one edit, which may be an undo or a redo. Returns whether the document changed.

        Raises:
            EditError: the edit does not apply; the document is as it was.
        """
        with self.lock:
            if not isinstance(edit, Mapping):
                raise EditError("An edit is a JSON object with a kind.")
            kind = edit.get("kind")
            if kind in ("undo", "redo"):
                return self._travel(kind)
            project = apply(self._project, edit)
            if project == self._project:
                return False
            # What was there once fits again, so Undo and Redo need not ask.
            if sentence := storage_problem(project, self._project):
                raise EditError(sentence)
            self._undo = [*self._undo[-HISTORY + 1 :], self._project]
            self._redo = []
            # What networks there are, and what follows in others, no browser works out: all take the snapshot.
            needs_snapshot = _composes(edit) or _reaches_further(edit, self._project, project)
            self._take(project, None if needs_snapshot else origin)
            self.changes.add("edit")
            return True

    def replace(self, project: Project) -> bool:
        """Put another document in place (an import, an old version) as one step that can be undone.

        Raises:
            EditError: it is too large; the document is as it was.
        """
        with self.lock:
            if project == self._project:
                return False
            # What was there once fits again, so Undo and Redo need not ask.
            if sentence := storage_problem(project, self._project):
                raise EditError(sentence)
            self._undo = [*self._undo[-HISTORY + 1 :], self._project]
            self._redo = []
            self._take(project, None)
            self.changes.add("replacement")
            return True

    def sync(self, message: Any) -> list[str]:
        """Apply the operations of one message from the canvas that were not applied before.

        Returns what had to be refused, as sentences. A refused operation counts as a foreign change, so that the
        browser drops its optimistic copy of it.
        """
        try:
            epoch, client, ops = message["epoch"], message["client"], message["ops"]
            if not (isinstance(client, str) and 0 < len(client) <= 64 and isinstance(ops, list)):
                raise TypeError
        except (TypeError, KeyError, IndexError):
            return ["The canvas sent an invalid message; reload the page."]
        with self.lock:
            self._know(client)
            if epoch != self.epoch:
                self._others[client] = self.revision
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
        if seq <= self.acks.get(client, 0):
            return []
        self.acks.pop(client, None)  # so that the one heard of last stands last
        self.acks[client] = seq
        while len(self.acks) > MAX_CLIENTS:  # they are kept for ever otherwise, as they are saved with the document
            self.acks.pop(next(iter(self.acks)))
        try:
            # What was completed on its way is not what the browser has: it takes the snapshot.
            origin = None if op.get("completed") else client
            self.apply({key: value for key, value in op.items() if key not in ("seq", "completed")}, origin=origin)
        except EditError as error:
            return [self._refuse(client, str(error))]
        except Exception as error:  # the edits behind it must not be lost with it
            return [
                self._refuse(
                    client,
                    f"This edit failed because of a bug in Netloom ({type(error).__name__}); it was not applied.",
                )
            ]
        return []

    def _refuse(self, client: str, sentence: str) -> str:
        self.revision += 1
        self._others[client] = self.revision
        return sentence

    def _know(self, client: str) -> None:
        if client not in self._authors:
            self._authors[client] = 0
            # A browser that is new to this process starts from the snapshot that it was given.
            self._others.setdefault(client, self.revision)
            while len(self._authors) > MAX_CLIENTS:
                oldest = next(iter(self._authors))
                self._authors.pop(oldest)
                self._others.pop(oldest, None)

    def _travel(self, kind: str) -> bool:
        source, target = (self._undo, self._redo) if kind == "undo" else (self._redo, self._undo)
        if not source:
            return False
        project = source.pop()
        target.append(self._project)
        self._take(project, None)
        self.changes.add("travel")
        return True

    def _take(self, project: Project, origin: str | None) -> None:
        self._project = project
        self.revision += 1
        for client in self._authors:
            if client != origin:
                self._others[client] = self.revision
        if origin is not None:
            self._authors[origin] = self.revision


def _parts(edit: Edit) -> Sequence[Edit]:
    return edit["edits"] if edit.get("kind") == "batch" else (edit,)


def _composes(edit: Edit) -> bool:
    return any(part.get("kind") in COMPOSITIONS for part in _parts(edit))


def _reaches_further(edit: Edit, before: Project, after: Project) -> bool:
    """Whether an edit changed networks that it does not name, such as the edges at nodes that stand for one."""
    named = {part.get("network", before.main) for part in _parts(edit)}
    changed = {name for name, network in after.networks.items() if before.networks.get(name) is not network}
    return not changed <= named


Records = Mapping[str, dict[str, Any]]


def wire(
    project: Project, network: str | None = None, known: tuple[Mapping[str, Node], Records] | None = None
) -> dict[str, Any]:
    """One network as the canvas takes it: nodes, edges keyed by the port they lead to, notes.

    The records of nodes that are `known` are taken from there: most are, after an edit.
    """
    value = project.networks[network or project.main]
    before, records = known or ({}, {})
    # Inputs and Outputs in their order, which a copy of them keeps.
    inputs, outputs = value.order("Input"), value.order("Output")
    order = [*inputs, *(key for key in value.nodes if key not in {*inputs, *outputs}), *outputs]
    return {
        "nodes": {
            key: records[key]
            if before.get(key) is value.nodes[key]
            else value.nodes[key].model_dump(mode="json", exclude={"id"})
            for key in order
        },
        "edges": {edge.target: {"source": edge.source, "target": edge.target} for edge in value.edges},
        "notes": {key: note.model_dump(mode="json") for key, note in value.notes.items()},
    }
