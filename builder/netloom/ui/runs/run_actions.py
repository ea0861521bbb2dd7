"""What people ask of a run that has ended, wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from netloom.runs import continuation
from netloom.store import Run, Store, StoreError
from netloom.training import StartError
from netloom.ui.components.words import plain
from netloom.ui.runs.state import Key
from netloom.ui.shell import identity
from netloom.ui.shell.errors import show_error

REFUSALS = (ValueError, StoreError, OSError, StartError)


def ask(act: Callable[[], object], said: str) -> None:
    """Do it and say so, or say why it cannot be done; then the page is drawn anew."""
    try:
        act()
    except REFUSALS as error:
        show_error(error)
    else:
        if said:
            st.toast(plain(said))
        st.rerun()


def extend(store: Store, run: Run) -> None:
    """For how many epochs more it is to go on."""
    st.caption(
        "Goes on from the last checkpoint. Early stopping ends it no more; a schedule is drawn out over all epochs."
    )
    epochs = st.number_input("More epochs", 1, 10_000, 10, key=Key.EXTEND_EPOCHS.of(run.id))
    if st.button("Go on", type="primary", key=Key.EXTEND.of(run.id)):
        ask(lambda: continuation.extend(store, run.id, int(epochs), owner=identity.owner()), "It goes on.")


def delete(store: Store, run: Run) -> bool:
    """Whether it was deleted, which takes a second click."""
    st.caption("With its curves and weights; this cannot be undone.")
    if not st.button("Delete for ever", type="primary", key=Key.DELETE.of(run.id)):
        return False
    store.delete_run(run.id)
    return True
