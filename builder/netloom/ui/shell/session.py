"""What all pages share: the store, open projects, and which project and run this tab looks at."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from netloom import jobs, runs, sandbox
from netloom.core.torch_internals import COMPILER
from netloom.editing.live import Live
from netloom.editing.server import close, live, restart, store
from netloom.store import Store, StoreError
from netloom.ui.shell.state import Query, TabState

__all__ = ["Closed", "choose", "chosen_run", "current", "forget", "live", "restart", "store", "warm"]

NONE = "There is no project at this address. It may have been deleted, or the link may be incomplete."
# What the first pages do without: what torch loads as it first works out the shape of a convolution, SymPy among it,
# and pandas for the first table. What explanations need is with the workers that compute them.
HEAVY = (
    "networkx",
    "plotly.graph_objects",
    "torch.utils.flop_counter",
    "torch.fx.experimental.symbolic_shapes",
    COMPILER,
    "pandas",
    "scipy.stats",
    "netloom.ui.explain.page",
    "netloom.ui.explain.views.attribution",
)


def forget(project_id: str) -> None:
    """Close a project that was deleted. This tab looks at none then."""
    close(project_id)
    tab = TabState.current()
    tab.held = None
    if tab.project == project_id:
        tab.project = ""
    if Query.PROJECT.get() == project_id:
        Query.PROJECT.set(None)


def choose(project_id: str, run_id: str | None = None) -> None:
    """Make a project, and perhaps a run, the one that the pages show."""
    tab = TabState.current()
    tab.project, tab.run = project_id, run_id


def chosen_run() -> str | None:
    """The run that the pages show, if one was chosen."""
    return TabState.current().run


@dataclass(frozen=True)
class Closed:
    """A project that this tab was asked for and that cannot be opened, and why."""

    id: str
    reason: str


def current() -> Live | Closed | None:
    """The project that this tab looks at: by what was chosen in it, or else by its address. The newest one where
    neither names one, and none where there is none at all.

    Where there is no such project, or it cannot be opened, no other one is taken for it: people would change that one.
    The address bar keeps the choice, so that a reload or a copied link finds it again.
    """
    tab = TabState.current()
    chosen = tab.project or Query.PROJECT.get()
    if not chosen:
        newest = store().list_projects(limit=1)
        if not newest:
            return None
        chosen = newest[0].id
    if tab.project != chosen:
        choose(chosen, Query.RUN.get())
    Query.PROJECT.set(chosen)
    try:
        # Another server, or the command line, may have deleted what is open here.
        if not store().has_project(chosen):
            return Closed(chosen, NONE)
        tab.held = live(chosen)
        return tab.held
    except StoreError as error:
        return Closed(chosen, str(error))


@cache
def warm() -> threading.Thread:
    """Import what the next pages need while people still look at this one, and have a worker do so too."""
    thread = threading.Thread(target=_import_heavy, args=(store(),), name="warm", daemon=True)
    thread.start()
    return thread


def _import_heavy(project_store: Store) -> None:
    # First, as it takes the longest; and it is a process of its own, which gives way to the pages.
    runs.warm(project_store)
    jobs.warm()
    sandbox.warm()

    from netloom import explain, layers

    for name in HEAVY:
        import_module(name)
    layers.registry()
    explain.registry()
    _draw()

    # What was imported stays; the garbage collector need not look at it again.
    gc.collect()
    gc.freeze()


def _draw() -> None:
    """Draw a little of what the pages draw: Plotly loads each kind of mark, and what belongs to it, with the first."""
    import plotly.graph_objects as go

    heat = go.Heatmap(colorbar={"title": {"text": ""}, "thickness": 1})
    figure = go.Figure([go.Scatter(line={"width": 1}, marker={"size": 1}), go.Bar(), heat])
    figure.update_layout(legend={"x": 0}, margin={"t": 0}, xaxis_title="", yaxis_title="")
