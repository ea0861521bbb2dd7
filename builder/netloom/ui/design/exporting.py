"""The Export and Deploy buttons of the Design page: the code, the document, and the way to a trained network."""

from __future__ import annotations

import streamlit as st

from netloom.compile import source
from netloom.core.text import escape, file_stem
from netloom.document import dumps
from netloom.editing.live import Live
from netloom.runs.history.comparison import best_finished
from netloom.ui.components.page_state import set_value
from netloom.ui.components.words import at
from netloom.ui.design.state import Key
from netloom.ui.shell import session
from netloom.ui.shell.state import Query
from netloom.ui.train.state import EXPORT_TAB
from netloom.ui.train.state import Key as TrainKey


def export_menu(live: Live) -> None:
    """Draw the button that opens the list of what can be exported."""
    menu = st.popover(
        "Export",
        icon=":material/download:",
        help="Code, document and trained weights",
        key=Key.EXPORT,
        on_change="rerun",  # its content is only drawn while it is open
    )
    if not menu.open:
        return
    with menu:
        _code(live)
        st.download_button(
            "Document (JSON)",
            lambda: dumps(live.project),
            f"{file_stem(live.project.name)}.json",
            "application/json",
            on_click="ignore",
            width="stretch",
            key=Key.EXPORT_DOCUMENT,
        )
        _trained(live)


def deploy_button(live: Live) -> None:
    """Draw the button to the Deploy page of the best finished run."""
    run = best_finished(live.store.runs(live.id))
    help = "Train the network first, then serve it." if run is None else "Serve the best run, or make it smaller"
    if st.button("Deploy", icon=":material/rocket_launch:", help=help, disabled=run is None, key=Key.DEPLOY) and run:
        session.choose(live.id, run.id)
        st.switch_page("pages/deploy.py", query_params={Query.PROJECT.value: live.id, Query.RUN.value: run.id})


def _code(live: Live) -> None:
    """Draw the download of the generated code; the file is created on click."""
    broken = bool(live.analysis().errors)
    st.download_button(
        "PyTorch code (.py)",
        lambda: source(live.project, live.analysis()),
        f"{file_stem(live.project.name)}.py",
        "text/x-python",
        on_click="ignore",
        width="stretch",
        disabled=broken,
        help="Fix the errors of the network first." if broken else None,
        key=Key.EXPORT_CODE,
    )


def _trained(live: Live) -> None:
    """Draw the button to the formats with weights: those of the best finished run."""
    run = best_finished(live.store.runs(live.id))
    if run is None:
        st.caption("Weights and ONNX: train the network first, then export its run.")
        return
    if st.button("Weights, ONNX …", icon=":material/deployed_code:", width="stretch", key=Key.EXPORT_RUN):
        session.choose(live.id, run.id)
        set_value(TrainKey.RESULTS.of(run.id), EXPORT_TAB)
        st.switch_page("pages/train.py", query_params={Query.PROJECT.value: live.id, Query.RUN.value: run.id})
    st.caption(f"Of the best run, {escape(at(run.created_at))}.")
