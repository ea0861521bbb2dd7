"""The session of all pages: the store, open projects, and the project and run of this tab."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from netloom import jobs, runs, sandbox
from netloom.editing.live import Live
from netloom.editing.server import close, live, restart, store
from netloom.store import Store, StoreError
from netloom.ui.shell.state import Query, TabState

__all__ = ["Closed", "choose", "chosen_project", "chosen_run", "current", "forget", "live", "restart", "store", "warm"]

NONE = "There is no project at this address. It may have been deleted, or the link may be incomplete."
# Modules that the first page does not need, such as pandas for the first table. PyTorch is not among them, because
# workers read data, measure layers and explain.
HEAVY = (
    "networkx",
    "plotly.graph_objects",
    "pandas",
    "scipy.stats",
    "netloom.ui.explain.page",
    "netloom.ui.explain.views.attribution",
)
# The longest time that processes for runs and for uploads wait for the workers, which import PyTorch first.
WORKERS_S = 60.0


def forget(project_id: str) -> None:
    """Close a deleted project. This tab has no project then."""
    close(project_id)
    tab = TabState.current()
    tab.live = None
    if tab.project == project_id:
        tab.project = ""
    if Query.PROJECT.get() == project_id:
        Query.PROJECT.set(None)


def choose(project_id: str, run_id: str | None = None) -> None:
    """Select the project, and optionally the run, that the pages show."""
    tab = TabState.current()
    tab.project, tab.run = project_id, run_id


def chosen_project() -> str:
    """Return the selected project; "" before a page has selected one."""
    return TabState.current().project


def chosen_run() -> str | None:
    """Return the selected run, if there is one."""
    return TabState.current().run


@dataclass(frozen=True)
class Closed:
    """A requested project that cannot be opened, and the reason."""

    id: str
    reason: str


def current() -> Live | Closed | None:
    """Return the project of this tab: the selected one, that of the address or of its run, or the newest; None without
    projects.

    If it does not exist or cannot be opened, another project is never shown instead, because users would edit that one.
    The choice is stored in the address, so that a reload or a copied link finds it.
    """
    tab = TabState.current()
    chosen = tab.project or Query.PROJECT.get() or _project_of_run(Query.RUN.get())
    if not chosen:
        newest = store().list_projects(limit=1)
        if not newest:
            return None
        chosen = newest[0].id
    if tab.project != chosen:
        choose(chosen, Query.RUN.get())
    Query.PROJECT.set(chosen)
    try:
        # Another server or the command line may have deleted the open project.
        if not store().has_project(chosen):
            return Closed(chosen, NONE)
        tab.live = live(chosen)
        return tab.live
    except StoreError as error:
        return Closed(chosen, str(error))


def _project_of_run(run_id: str | None) -> str:
    try:
        return store().run(run_id).project_id if run_id else ""
    except StoreError:
        return ""  # the run does not exist


@cache
def delegate() -> None:
    """Leave reading data and measuring layers to workers."""
    jobs.delegate()


@cache
def start_workers() -> None:
    """Start the workers, which import PyTorch, before the first job."""
    jobs.warm()


@cache
def warm() -> threading.Thread:
    """Start the workers, import the modules of the next pages in a thread while the first page is read, and start a
    process for a run."""
    start_workers()
    thread = threading.Thread(target=_import_heavy, args=(store(),), name="warm", daemon=True)
    thread.start()
    return thread


def _import_heavy(project_store: Store) -> None:
    from netloom import layers

    for name in HEAVY:
        import_module(name)
    layers.registry()
    _draw()

    # Imported modules stay, so the garbage collector need not traverse them again.
    gc.collect()
    gc.freeze()
    # Only now, because each imports PyTorch: on few cores, the workers that the first Design page waits for would be
    # ready seconds later.
    jobs.is_warm(WORKERS_S)
    runs.warm(project_store)
    sandbox.warm()


def _draw() -> None:
    """Create a small figure, because Plotly imports each type of trace and layout on first use."""
    import plotly.graph_objects as go

    heat = go.Heatmap(colorbar={"title": {"text": ""}, "thickness": 1})
    figure = go.Figure([go.Scatter(line={"width": 1}, marker={"size": 1}), go.Bar(), heat])
    figure.update_layout(legend={"x": 0}, margin={"t": 0}, xaxis_title="", yaxis_title="")
