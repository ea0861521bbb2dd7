"""The Deploy page: a run, and what it takes until people use it."""

from __future__ import annotations

import streamlit as st

from netloom.core.errors import DataError
from netloom.core.text import escape
from netloom.document import DocumentError
from netloom.editing.live import Live
from netloom.jobs import JobError, RunWeights
from netloom.store import StoreError
from netloom.training.weight_files import CheckpointError
from netloom.ui.deploy.card import card
from netloom.ui.deploy.drift import drift
from netloom.ui.deploy.optimize import optimize
from netloom.ui.deploy.server import server
from netloom.ui.deploy.state import Key
from netloom.ui.shell.errors import show_error
from netloom.ui.shell.run_picker import choose_checkpoint, choose_run, runs_with_weights, written_at

PARTS = {
    "server": (":material/dns: Server", server),
    "optimize": (":material/speed: Optimize", optimize),
    "drift": (":material/monitor_heart: Drift", drift),
    "card": (":material/description: Model card", card),
}
STYLE = """<style>
.st-key-deploy-controls > :has(.stSelectbox) { flex: 1 1 16rem; max-width: 30rem; }
@media (max-width: 640px) { .st-key-deploy-header h3 { font-size: 1.15rem; padding: 0; } }
</style>"""
ERRORS = (DataError, StoreError, OSError, CheckpointError, DocumentError, JobError, ValueError)


def page(live: Live) -> None:
    """Draw the Deploy page."""
    runs = runs_with_weights(live)
    if not runs:
        st.subheader(escape(live.project.name))
        st.info("This project has no trained run yet. Train the network first, then deploy it here.")
        if st.button("Go to Train", type="primary", icon=":material/show_chart:"):
            st.switch_page("pages/train.py")
        return
    st.html(STYLE)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key=Key.HEADER):
        st.subheader(escape(live.project.name), width="content", anchor=False)
        part = st.segmented_control(
            "Part",
            list(PARTS),
            default="server",
            format_func=lambda name: PARTS[name][0],
            required=True,
            key=Key.MODE,
            label_visibility="collapsed",
        )
    try:
        with st.container(horizontal=True, vertical_alignment="bottom", key=Key.CONTROLS):
            run_id = choose_run(live, runs)
            weights = RunWeights(run_id, choose_checkpoint(live, run_id), written_at(live, run_id))
        PARTS[part or "server"][1](live, weights)
    except ERRORS as error:
        show_error(error)
