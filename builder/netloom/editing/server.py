"""The projects that this process has open, whichever tab or page asks for them."""

from __future__ import annotations

import threading
from pathlib import Path

from netloom import runs
from netloom.core.data_folder import home
from netloom.editing.live import Live
from netloom.editing.open_projects import OpenProjects
from netloom.store import Store, database_url, open_store


class _Server:
    """What this process has open: the store, and one editor for each project, whichever tab asks."""

    def __init__(self) -> None:
        self.store = open_store()
        runs.keep(self.store)
        self.projects = OpenProjects()


# Held here, and not by st.cache_resource, which every client may have emptied, for all: with `clear_cache`, a message
# of Streamlit's. A project would have two editors then, each of which overwrites, or refuses, what the other does.
_servers: dict[tuple[Path, str], _Server] = {}
_opening = threading.Lock()


def _server() -> _Server:
    """That of the data folder of this process; there is another one only in tests, which change it."""
    folder = home()
    key = (folder, str(database_url(folder)))
    with _opening:
        if key not in _servers:
            _servers.clear()
            _servers[key] = _Server()
        return _servers[key]


def restart() -> None:
    """Forget what is open, as a server that is started anew."""
    with _opening:
        _servers.clear()


def store() -> Store:
    """The store of this server."""
    return _server().store


def live(project_id: str) -> Live:
    """An open project, shared by all tabs of this server.

    Raises:
        StoreError: there is no such project.
    """
    server = _server()
    return server.projects.get(project_id, lambda: Live(server.store, project_id))


def close(project_id: str) -> None:
    """Close a project for all tabs, such as one that was deleted."""
    _server().projects.close(project_id)
