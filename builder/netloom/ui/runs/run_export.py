"""Handing runs over to other programs: a spreadsheet, TensorBoard, MLflow."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.runs.comparison import as_csv, table
from netloom.store import Run, Store

TITLES = {"tensorboard": "TensorBoard", "mlflow": "MLflow"}
COMMANDS = {
    "tensorboard": "tensorboard --logdir runs",
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri mlruns",
}


def hand_over(store: Store, runs: Sequence[Run], chosen: bool) -> None:
    """The runs as files, each made when it is asked for."""
    which = "The chosen" if chosen else "All of these"
    with st.popover("Export", icon=":material/download:", disabled=not runs):
        st.caption(f"{which} {len(runs):,} runs." if len(runs) > 1 else "This run.")
        st.download_button(
            "Table (CSV)",
            lambda: as_csv(table(store, runs)),
            "runs.csv",
            "text/csv",
            on_click="ignore",
            width="stretch",
            help="A row for each run: what differs, and what came of it",
        )
        for kind, title in TITLES.items():
            st.download_button(
                f"{title} (zip)",
                lambda kind=kind: _zipped(store, runs, kind),  # type: ignore[misc]
                f"{kind}.zip",
                "application/zip",
                on_click="ignore",
                width="stretch",
                help=f"Unzip it, then: `{COMMANDS[kind]}`",
            )


def _zipped(store: Store, runs: Sequence[Run], kind: str) -> bytes:
    from netloom.export.trackers import zipped

    return zipped(store, runs, kind)
