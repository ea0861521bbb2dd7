"""The export of runs to other programs: spreadsheets, TensorBoard, MLflow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import streamlit as st

from netloom.jobs.requests.exports import RunArchive
from netloom.store import Run
from netloom.ui.shell.jobs import downloaded

TITLES: dict[Literal["tensorboard", "mlflow"], str] = {"tensorboard": "TensorBoard", "mlflow": "MLflow"}
COMMANDS = {
    "tensorboard": "tensorboard --logdir runs",
    "mlflow": "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri mlruns",
}


def hand_over(runs: Sequence[Run], chosen: bool) -> None:
    """Draw the download buttons of runs; each file is created on click."""
    subject = "The selected" if chosen else "All"
    with st.popover("Export", icon=":material/download:", disabled=not runs):
        st.caption(f"{subject} {len(runs):,} runs." if len(runs) > 1 else "This run.")
        st.download_button(
            "Table (CSV)",
            lambda: _file(runs, "csv"),
            "runs.csv",
            "text/csv",
            on_click="ignore",
            width="stretch",
            help="One row per run with settings and results",
        )
        for kind, title in TITLES.items():
            st.download_button(
                f"{title} (zip)",
                lambda kind=kind: _file(runs, kind),  # type: ignore[misc]
                f"{kind}.zip",
                "application/zip",
                on_click="ignore",
                width="stretch",
                help=f"Unzip the file, then run `{COMMANDS[kind]}`",
            )


def _file(runs: Sequence[Run], kind: Literal["csv", "tensorboard", "mlflow"]) -> bytes:
    # Makes the request another one after a run has changed, so that no cached file is returned.
    stamp = hashlib.sha256(repr(runs).encode()).hexdigest()
    return downloaded(RunArchive(tuple(run.id for run in runs), kind, stamp)).tobytes()
