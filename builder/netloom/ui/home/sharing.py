"""Links to a project on this server, links that contain the document, and the import of such links."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

import streamlit as st

from netloom.core.text import counted, escape
from netloom.document import DocumentError, Project, dumps
from netloom.document.sharing import fold, unfold
from netloom.editing.live import Live
from netloom.store import Store, StoreError
from netloom.ui.components.charts.network_thumbnail import picture
from netloom.ui.components.errors import guard, show_error
from netloom.ui.home.state import Key
from netloom.ui.shell.state import Query


def share(live: Live) -> None:
    """Draw the button that shows the links."""
    if st.button("Share", icon=":material/share:", help="Links to this project"):
        st.dialog("Share", width="medium", icon=":material/share:")(_share)(live)


@guard()
def _share(live: Live) -> None:
    project, page_url = live.project, st.context.url or ""
    st.markdown("**A link to this project**")
    st.caption(
        "Anyone who can reach this server can open this project with the link and edit it together with you. "
        "The button at the right of a link copies it."
    )
    st.code(address(page_url, "design", project=live.id), language=None, wrap_lines=True)
    st.markdown("**A link that contains a copy**")
    try:
        link = address(page_url, "", **{Query.DOCUMENT: fold(project)})
        st.caption(
            "Contains the networks and all settings, but no data and no weights. Works on any Netloom server: replace "
            "the server address. Whoever opens it gets a project of their own."
        )
        # The container scrolls instead of the code: the keyboard reaches it by its button.
        with st.container(height=140, border=False):
            st.code(link, language=None, wrap_lines=True)
    except DocumentError as error:
        st.info(escape(str(error)))
        st.download_button("Save as JSON", dumps(project), "project.json", "application/json")


def address(page_url: str, page: str, **parameters: str) -> str:
    """Return the address of a page; `page_url` is the address of the Design page or of Home in this browser."""
    parts = urlsplit(page_url)
    path = parts.path.rstrip("/")
    base = path.removesuffix("/design")
    root = f"{parts.scheme}://{parts.netloc}{base}" if parts.netloc else ""
    return f"{root}/{page}?{urlencode(parameters)}"


def shared_project(store: Store, open_project: Callable[[str], None]) -> None:
    """Draw the project of a link that contains a copy. It is saved only if the user accepts it."""
    text = Query.DOCUMENT.get()
    if text is None:
        return
    with st.container(border=True):
        try:
            project = unfold(text)
        except DocumentError as error:
            show_error(error)
            if st.button("Close", key=Key.SHARED_CLOSE):
                _forget()
            return
        _offer(store, project, open_project)


def _offer(store: Store, project: Project, open_project: Callable[[str], None]) -> None:
    left, right = st.columns([1, 2.2], vertical_alignment="center")
    left.image(picture(project.main_network), width="stretch", alt="Graph of the network")
    with right:
        st.markdown(f"**Someone shared {escape(project.name)} with you**")
        layers = counted(len(project.main_network.nodes), "layer")
        networks = counted(len(project.networks), "network")
        data = f" · trains on {escape(project.data.dataset)}" if project.data.dataset else ""
        st.caption(f"{layers} · {networks}{data}. Nothing is saved until you accept it.")
        with st.container(horizontal=True):
            if st.button("Add to my projects", type="primary", icon=":material/add:", key=Key.SHARED_TAKE):
                try:
                    project_id = store.create_project(project)
                except StoreError as error:
                    show_error(error)
                    return
                Query.DOCUMENT.set(None)
                open_project(project_id)
            if st.button("Decline", key=Key.SHARED_CLOSE):
                _forget()


def _forget() -> None:
    Query.DOCUMENT.set(None)
    st.rerun()
