"""What all pages share: the store, open projects, and which project and run this tab looks at."""

from __future__ import annotations

import gc
import threading
from importlib import import_module

import streamlit as st

from builder import train
from builder.store import Store, StoreError, open_store
from builder.ui.live import Live

# What the first pages do without. The last are for the Explain page: Captum, which takes Matplotlib with it; what torch
# loads as it first works out the shape of a convolution, SymPy among it, or a slope; and pandas for the first table.
HEAVY = (
    "networkx",
    "plotly.graph_objects",
    "torch.utils.flop_counter",
    "captum.attr",
    "torch.fx.experimental.symbolic_shapes",
    "torch._dynamo",
    "pandas",
    "builder.explain.faithfulness",
    "builder.explain.rowwise",
    "builder.ui.explaining",
    "builder.ui.attributing",
)


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The store of this server."""
    opened = open_store()
    train.keep(opened)
    return opened


@st.cache_resource(show_spinner=False)
def _open_projects() -> tuple[dict[str, Live], threading.Lock]:
    return {}, threading.Lock()


def live(project_id: str) -> Live:
    """An open project, shared by all tabs of this server.

    Raises:
        StoreError: there is no such project.
    """
    projects, lock = _open_projects()
    with lock:
        if project_id not in projects:
            projects[project_id] = Live(store(), project_id)
        return projects[project_id]


def forget(project_id: str) -> None:
    """Close a project that was deleted."""
    projects, lock = _open_projects()
    with lock:
        projects.pop(project_id, None)


def choose(project_id: str, run_id: str | None = None) -> None:
    """Make a project, and perhaps a run, the one that the pages show."""
    st.session_state["project"] = project_id
    st.session_state["run"] = run_id


def current() -> Live | None:
    """The project that this tab looks at: by its address, by what was chosen before, or else the newest.

    The address bar keeps it, so that a reload or a copied link finds it again.
    """
    linked = st.query_params.get("project")
    if linked and not store().has_project(linked):
        st.toast("The project of this address is not here; it may have been deleted.", icon=":material/link_off:")
    wanted = [st.session_state.get("project"), linked]
    if "project" not in st.session_state:
        wanted.reverse()
    newest = [row.id for row in store().list_projects(limit=1)]
    for project_id in [*wanted, *newest]:
        if project_id and store().has_project(project_id):
            if st.session_state.get("project") != project_id:
                choose(project_id, st.query_params.get("run"))
            st.query_params["project"] = project_id
            try:
                return live(project_id)
            except StoreError:
                continue
    return None


@st.cache_resource(show_spinner=False)
def warm() -> threading.Thread:
    """Import what the next pages need while people still look at this one, and have a worker do so too."""
    thread = threading.Thread(target=_import_heavy, args=(store(),), name="warm", daemon=True)
    thread.start()
    return thread


def _import_heavy(known: Store) -> None:
    # First, as it takes the longest; and it is a process of its own, which gives way to the pages.
    train.warm(known)

    from builder import explain, layers

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
