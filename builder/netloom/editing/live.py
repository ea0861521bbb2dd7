"""Projects that are open in this server: one editor each, shared by all tabs, saved as soon as it changes."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netloom.core import log as logs
from netloom.core.errors import JobError
from netloom.data import DataError, Schema, schema
from netloom.document import Edit, Editor, EditorState, Network, Project
from netloom.editing.analyses import Analyses
from netloom.editing.canvas_completion import completed, sources
from netloom.store import SaveConflictError, Store, StoreError
from netloom.validation import Analysis


def forms_differ(before: Project, after: Project) -> bool:
    """Whether a form that shows values of one project is outdated in the other.

    Moving, adding and connecting layers changes no form, so a value that is being typed is left alone.
    """
    if (before.name, before.data, before.training) != (after.name, after.data, after.training):
        return True
    if before.networks.keys() != after.networks.keys():
        return True
    return any(
        network is not after.networks[name] and _fields_differ(network, after.networks[name])
        for name, network in before.networks.items()
    )


def _fields_differ(before: Network, after: Network) -> bool:
    nodes = after.nodes
    if (before.parameters, before.inputs, before.outputs) != (after.parameters, after.inputs, after.outputs):
        return True
    return any(
        key in nodes and nodes[key] is not node and nodes[key].model_copy(update={"at": node.at}) != node
        for key, node in before.nodes.items()
    )


# The limit of different failures of one open project that are logged.
MAX_LOGGED = 100


@dataclass(frozen=True)
class View:
    """The state of an open project at one moment: the content of its editor, and whether all of it is saved."""

    state: EditorState
    saved: bool

    @property
    def project(self) -> Project:
        return self.state.project


class Live:
    """An open project. All changes use its methods, so that it is saved before the page responds.

    The only lock, `lock`, protects the editor and its saved state; changes hold it one after the other. Pages do not
    use it: they read `view`, which each change replaces as a whole. Slow work happens outside the lock: reading data,
    measuring layers, loading another project.
    """

    def __init__(self, store: Store, project_id: str) -> None:
        self.store = store
        self.id = project_id
        self.lock = threading.RLock()
        # The number of changes by each widget; widgets of the same name in other tabs are renewed when it grows.
        self.typed: Counter[str] = Counter()
        # Grows with each change that did not come from a form on the page, to renew the widgets of forms.
        self.generation = 0
        self.problem = ""
        self._analyses = Analyses(lambda issue: self.log("analysis", issue.detail))
        self._logged: set[str] = set()
        self._open()

    def _open(self) -> None:
        stored = self.store.load(self.id)
        self.editor = Editor(stored.project, stored.epoch, stored.revision, stored.acks, self.lock)
        self._stamp = stored.stamp
        self._saved = (stored.revision, dict(stored.acks))
        self._show()

    def _show(self) -> None:
        """Publish the current state to the pages."""
        self.view = View(self.editor.state(), (self.editor.revision, self.editor.acks) == self._saved)

    @property
    def project(self) -> Project:
        return self.view.project

    @property
    def saved(self) -> bool:
        return self.view.saved

    def sync(self, message: Any) -> list[str]:
        """Apply edits from the canvas. Returns the refused ones, as sentences."""
        # Both are read before the lock is acquired. If another tab chooses other data just now, a new Input reads a
        # field of the earlier data, as if it had been added a moment earlier.
        schema = self.schema()
        projects = {source_id: self._project_of(source_id) for source_id in sources(message)}

        def change() -> list[str]:
            before = self.editor.project
            refusals = self.editor.sync(completed(message, before, schema, projects.get))
            if forms_differ(before, self.editor.project):
                self.generation += 1
            return refusals

        return self._changed(change)

    def _project_of(self, project_id: str) -> Project | None:
        """Return another project, from which layers are pasted; None if it does not exist any more."""
        if project_id == self.id:
            return None
        try:
            return self.store.load(project_id).project
        except StoreError:
            return None

    def apply(self, edit: Edit, *, widget: str = "", renews: bool = True) -> list[str]:
        """Apply an edit from elsewhere on the page, optionally from a `widget` with a name. `renews` is whether the
        forms of this page show other values after it.

        Raises:
            EditError: it cannot be applied.
        """

        def change() -> list[str]:
            if self.editor.apply(edit) and renews:
                self.generation += 1
            if widget:
                self.typed[widget] += 1
            return []

        return self._changed(change)

    def replace(self, project: Project) -> list[str]:
        """Replace the document, such as by an older version; it can be undone."""
        return self.transform(lambda _: project)

    def transform(self, make: Callable[[Project], Project]) -> list[str]:
        """Replace the document by the result of a function, atomically, so that no edit of another tab is lost."""

        def change() -> list[str]:
            self.editor.replace(make(self.editor.project))
            self.generation += 1
            return []

        return self._changed(change)

    def _changed(self, change: Callable[[], list[str]]) -> list[str]:
        """Apply a change, save it and publish it to the pages. Returns messages for users."""
        with self.lock:
            try:
                return change() + self._save()
            finally:
                self._show()

    def schema(self, project: Project | None = None) -> Schema | None:
        """Return the fields of the data that a project chooses, by default this one; None if it chooses none or they
        are unreadable (see `data_problem`). The first call reads the data."""
        return self._data(project or self.project)[0]

    def data_problem(self) -> str:
        """Return why the chosen data cannot be read, or ""."""
        return self._data(self.project)[1]

    def _data(self, project: Project) -> tuple[Schema | None, str]:
        try:
            return schema(project.data, self.store.home), ""
        except (DataError, JobError) as error:
            return None, str(error)
        except Exception as error:  # a failure of Netloom in reading data must not make the canvas unavailable
            self.log("data", "".join(traceback.format_exception(error)))
            return None, f"Netloom itself failed to read this data ({type(error).__name__})."

    def log(self, topic: str, details: str) -> None:
        """Log the details of a failure of Netloom itself once, as pages are rerun many times."""
        if details in self._logged or len(self._logged) > MAX_LOGGED:
            return
        self._logged.add(details)
        with contextlib.suppress(OSError):
            logs.write(self.store.home / logs.ERRORS, "error", where=topic, traceback=details)

    def analysis(self, project: Project | None = None) -> Analysis:
        """Return the issues and shapes of the current project, or of a state that a page has read, without the lock."""
        project = project or self.project
        return self._analyses.of(project, self.schema(project))

    def _save(self) -> list[str]:
        editor = self.editor
        if (editor.revision, editor.acks) == self._saved:
            return []
        try:
            acks = dict(editor.acks)
            # Edits of several kinds, such as an undo among others, do not continue the previous version.
            change = editor.changes.copy().pop() if len(editor.changes) == 1 else "replacement"
            self._stamp = self.store.save(
                self.id, editor.project, editor.epoch, editor.revision, acks, self._stamp, change, editor.text
            )
            self._saved = (editor.revision, acks)
            editor.changes.clear()
            self.problem = ""
        except SaveConflictError as error:
            return [self._reopened(error)]
        except StoreError as error:
            self.problem = str(error)  # the next edit tries again
            return [f"Not saved: {error}"]
        except Exception as error:
            self.log("save", "".join(traceback.format_exception(error)))
            self.problem = f"Netloom itself failed to save this ({type(error).__name__})."
            return [f"Not saved: {self.problem}"]
        return []

    def _reopened(self, error: SaveConflictError) -> str:
        """Open what another server saved. Returns a message for people."""
        try:
            self._open()
        except StoreError as reason:
            self.problem = f"{error} It cannot be opened: {reason}"
            return self.problem
        self.generation += 1
        return f"{error} The page shows the saved version; your last edit was not applied."
