"""The open projects of this process, for all tabs and pages."""

from __future__ import annotations

import threading
from pathlib import Path

from netloom import runs
from netloom.core.data_folder import home
from netloom.editing.live import Live
from netloom.editing.open_projects import OpenProjects
from netloom.store import Store, database_url, open_store


class _Server:
    """The open objects of this process: the store, and one editor per project."""

    def __init__(self) -> None:
        self.store = open_store()
        runs.keep(self.store)
        self.projects = OpenProjects()


# Not in st.cache_resource, which any client can clear for all users with Streamlit's `clear_cache` message. Then a
# project would have two editors, which overwrite or refuse each other's changes.
_servers: dict[tuple[Path, str], _Server] = {}
_opening = threading.Lock()


def _server() -> _Server:
    """Return the server of the current data folder, which changes only in tests."""
    folder = home()
    key = (folder, str(database_url(folder)))
    with _opening:
        if key not in _servers:
            _servers.clear()
            _servers[key] = _Server()
        return _servers[key]


def restart() -> None:
    """Close everything, as a restart of the server does."""
    with _opening:
        _servers.clear()


def store() -> Store:
    """Return the store of this server."""
    return _server().store


def live(project_id: str) -> Live:
    """Return an open project, shared by all tabs of this server.

    Raises:
        StoreError: there is no such project.
    """
    server = _server()
    return server.projects.get(project_id, lambda: Live(server.store, project_id))


def close(project_id: str) -> None:
    """Close a project for all tabs, such as one that was deleted."""
    _server().projects.close(project_id)
