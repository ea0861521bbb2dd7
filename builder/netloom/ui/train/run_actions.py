"""Actions on a run that has ended, for several pages."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from netloom.core.text import escape
from netloom.runs.derived import continuation
from netloom.store import Run, Store, StoreError
from netloom.training import StartError
from netloom.ui.components.errors import show_error
from netloom.ui.shell import identity
from netloom.ui.train.state import Key

REFUSALS = (ValueError, StoreError, OSError, StartError)


def ask(act: Callable[[], object], success: str) -> None:
    """Call an action, and show its success or its error; after a success, the page is rerun."""
    try:
        act()
    except REFUSALS as error:
        show_error(error)
    else:
        if success:
            st.toast(escape(success))
        st.rerun()


def extend(store: Store, run: Run) -> None:
    """Draw the form that extends a run."""
    st.caption(
        "Continues from the last checkpoint. Early stopping is off; the LR schedule is stretched over all epochs."
    )
    epochs = st.number_input("More epochs", 1, 10_000, 10, key=Key.EXTEND_EPOCHS.of(run.id))
    if st.button("Extend run", type="primary", key=Key.EXTEND.of(run.id)):
        ask(lambda: continuation.extend(store, run.id, int(epochs), owner=identity.owner()), "The run continues.")


def delete(store: Store, run: Run) -> bool:
    """Draw the confirmation of a deletion, and return whether the run was deleted."""
    st.caption("Deletes the curves and weights, too. This cannot be undone.")
    if not st.button("Delete permanently", type="primary", key=Key.DELETE.of(run.id)):
        return False
    store.delete_run(run.id)
    return True
