"""Opens the project of a page, or shows why it cannot be opened."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from netloom.core.text import escape
from netloom.editing.live import Live
from netloom.store import Store, StoreError
from netloom.ui.components.errors import show_error
from netloom.ui.components.style import nothing_yet
from netloom.ui.components.words import ago
from netloom.ui.shell import session
from netloom.ui.shell.recovery import offer_recovery
from netloom.ui.shell.session import Closed
from netloom.ui.shell.state import Key


def with_project(draw: Callable[[Live], None]) -> None:
    """Draw a page with the open project of this tab."""
    project = session.current()
    if isinstance(project, Live):
        draw(project)
    elif offer_recovery(session.store()) and project is None:
        return  # the recovery comes before new projects
    elif project is None:
        nothing_yet()
    else:
        closed(project)


def closed(project: Closed) -> None:
    """Draw the error of a project that cannot be opened, with a link to Home and its versions."""
    show_error(project.reason, icon=":material/link_off:")
    if st.button("Go to Home", type="primary", icon=":material/home:"):
        st.switch_page("pages/home.py")
    _older(session.store(), project.id)


def _older(store: Store, project_id: str) -> None:
    """Draw the versions of a project whose document cannot be read, with buttons that restore them."""
    rows = store.versions(project_id)
    if not rows:
        return
    st.markdown("**Versions**")
    st.caption("Restore an older version. The version that cannot be opened is saved as a version, too.")
    for row in rows:
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.markdown(f"**{row.number}** · {ago(row.created_at)} {escape(row.name)}")
        if right.button("Restore", key=Key.RESTORE.of(row.number), width="stretch"):
            try:
                store.restore_version(project_id, row.number)
            except StoreError as error:
                show_error(error)
            else:
                st.rerun()
