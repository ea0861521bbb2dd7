"""The open projects of a server: those shown in a tab, and the last few others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from netloom.editing.live import Live

MAX_RECENT = 16  # projects that stay open with their undo history, although no tab shows them


class OpenProjects:
    """One editor per project, shared by all tabs.

    A tab holds a reference to its project (see `ui.shell.session.current`), so a project is closed once all of its tabs
    are gone and other projects were requested since.
    """

    def __init__(self) -> None:
        self._open: WeakValueDictionary[str, Live] = WeakValueDictionary()
        self._recent: OrderedDict[str, Live] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, project_id: str, open_it: Callable[[], Live]) -> Live:
        """Return the open project. Reading a document can be slow, but blocks only requests for the same one, which all
        get the first result."""
        with self._lock:
            known = self._open.get(project_id)
        opened = open_it() if known is None else known
        with self._lock:
            live = self._open.setdefault(project_id, opened)
            self._recent[project_id] = live
            self._recent.move_to_end(project_id)
            while len(self._recent) > MAX_RECENT:
                self._recent.popitem(last=False)
        return live

    def close(self, project_id: str) -> None:
        """Close a project for all tabs."""
        with self._lock:
            self._open.pop(project_id, None)
            self._recent.pop(project_id, None)

    def __len__(self) -> int:
        return len(self._open)
