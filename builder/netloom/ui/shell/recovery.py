"""The recovery of runs whose folders exist but which are missing in the database."""

from __future__ import annotations

import streamlit as st

from netloom.core.text import escape
from netloom.runs.history import recovery
from netloom.store import Store, StoreError
from netloom.ui.components.errors import show_error
from netloom.ui.shell.state import Key, TabState


def offer_recovery(store: Store) -> bool:
    """Draw an offer to rebuild the list of runs if some are missing in the database; return whether they are."""
    tab = TabState.current()
    if tab.rebuilt:
        st.success(escape(tab.rebuilt))
        tab.rebuilt = ""
    sentence = recovery.rebuild_offer(store)
    if not sentence:
        return False
    with st.container(border=True):
        st.warning(escape(sentence), icon=":material/database_off:")
        if st.button("Rebuild the list of runs", type="primary", icon=":material/restore_page:", key=Key.REBUILD):
            _rebuild(store)
    return True


def _rebuild(store: Store) -> None:
    try:
        with st.spinner("Reading the folders …"):
            rebuilt = recovery.rebuild(store)
    except (StoreError, OSError) as error:
        show_error(error)
        return
    TabState.current().rebuilt = rebuilt.sentence()
    st.rerun()
