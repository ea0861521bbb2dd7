"""Projects that are open in this server: one editor each, shared by all tabs, saved as soon as it changes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from builder.check import Analysis, analyse
from builder.data import DataError, Schema, schema
from builder.graph import Edit, Editor, Network, Project
from builder.store import Conflict, Store, StoreError
from builder.ui.arriving import completed


def _forms_differ(one: Project, other: Project) -> bool:
    """Whether a form that shows values of one project shows what the other does not have any more.

    Moving, adding and connecting layers changes no form, so a value that is being typed is left alone.
    """
    if (one.name, one.data, one.training) != (other.name, other.data, other.training):
        return True
    if one.networks.keys() != other.networks.keys():
        return True
    return any(
        network is not other.networks[name] and _fields_differ(network, other.networks[name])
        for name, network in one.networks.items()
    )


def _fields_differ(one: Network, other: Network) -> bool:
    nodes = other.nodes
    return one.parameters != other.parameters or any(
        key in nodes and nodes[key] is not node and nodes[key].model_copy(update={"at": node.at}) != node
        for key, node in one.nodes.items()
    )


class Live:
    """An open project. Every change goes through here, so that it is saved before the page answers."""

    def __init__(self, store: Store, project_id: str) -> None:
        self.store = store
        self.id = project_id
        self.lock = threading.RLock()
        # How often each widget made a change: other tabs' widgets of this name have to be renewed by it.
        self.typed: Counter[str] = Counter()
        self._open()

    def _open(self) -> None:
        found = self.store.load(self.id)
        self.editor = Editor(found.project, found.epoch, found.revision, found.acks)
        self._stamp = found.stamp
        self._saved = (found.revision, dict(found.acks))
        self._analysis: tuple[int, Schema | None, Analysis] | None = None
        # Grows with each change that a form on the page did not make itself, to renew the form's widgets.
        self.generation = 0
        self.problem = ""

    @property
    def project(self) -> Project:
        return self.editor.project

    @property
    def saved(self) -> bool:
        return (self.editor.revision, self.editor.acks) == self._saved

    def sync(self, message: Any) -> list[str]:
        """Edits from the canvas. Returns those that were refused, as sentences."""
        with self.lock:
            before = self.editor.project
            refusals = self.editor.sync(completed(message, before, self.schema(), self._other))
            if _forms_differ(before, self.editor.project):
                self.generation += 1
            return refusals + self._save()

    def _other(self, project_id: str) -> Project | None:
        """Another project, from which layers are pasted; None where there is none any more."""
        if project_id == self.id:
            return None
        try:
            return self.store.load(project_id).project
        except StoreError:
            return None

    def apply(self, edit: Edit, *, from_form: bool = False) -> list[str]:
        """An edit from elsewhere on the page.

        Raises:
            EditError: it does not apply.
        """
        with self.lock:
            changed = self.editor.apply(edit)
            if changed and not from_form:
                self.generation += 1
            return self._save()

    def replace(self, project: Project) -> list[str]:
        """Put another document in place, such as an older version; it can be undone."""
        with self.lock:
            self.editor.replace(project)
            self.generation += 1
            return self._save()

    def schema(self) -> Schema | None:
        """The fields of the chosen data, or None where none is chosen or it cannot be read (see `data_problem`)."""
        try:
            return schema(self.project.data, self.store.home)
        except DataError:
            return None

    def data_problem(self) -> str:
        """Why the chosen data cannot be read, or nothing."""
        try:
            schema(self.project.data, self.store.home)
        except DataError as error:
            return str(error)
        return ""

    def analysis(self) -> Analysis:
        """Issues and shapes of the project as it is now."""
        with self.lock:
            revision, known = self.editor.revision, self.schema()
            if self._analysis is None or self._analysis[0] != revision or self._analysis[1] is not known:
                self._analysis = (revision, known, analyse(self.project, known))
            return self._analysis[2]

    def _save(self) -> list[str]:
        if self.saved:
            return []
        editor = self.editor
        try:
            acks = dict(editor.acks)
            self._stamp = self.store.save(self.id, editor.project, editor.epoch, editor.revision, acks, self._stamp)
            self._saved = (editor.revision, acks)
            self.problem = ""
        except Conflict as error:
            self._open()
            return [f"{error} You see what is there now; your last edit was not taken."]
        except StoreError as error:
            self.problem = str(error)  # the next edit tries again
            return [f"Not saved: {error}"]
        return []
