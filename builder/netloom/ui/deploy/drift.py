"""Whether the rows of a file still come from the distribution of the data of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from netloom.core.text import escape
from netloom.drift import DriftReport
from netloom.drift.report import MIN_ROWS
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.requests.deployment import MeasureDrift
from netloom.ui.components.charts.drift_table import drift_table
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.row_upload import FORMATS, row_upload, stored_name, stored_upload

if TYPE_CHECKING:
    from netloom.ui.components.streamlit_internals import UploadedFile


def drift(live: Live, weights: RunWeights) -> None:
    """Draw the upload of a file, and the drift of its rows."""
    st.markdown(
        "**Drift**: has the data changed since the network was trained? Upload recent rows from production. Their "
        "columns, predictions and confidence are compared with the validation and test rows."
    )
    file = row_upload(Key.DRIFT_FILE.of(weights.run_id), f"At least {MIN_ROWS} rows. {FORMATS}")
    if file is None:
        st.caption("The rows need no labels. The chance of an alarm without drift is at most 5%.")
        return
    _report(_measured(live, weights, file))


def _measured(live: Live, weights: RunWeights, file: UploadedFile) -> DriftReport:
    """Return the drift of a file, computed once."""
    request = MeasureDrift(weights, stored_name(file), file.name)
    # The key also changes with the weights and the calibration of the run, on which the predictions depend.
    reports, key = DeployState.current().drift, request.key(live.store.home)
    if key not in reports:
        with stored_upload(live.store, weights.run_id, file):
            reports[key] = computed(request, "Comparing with the held-out rows …")
    return reports[key]


def _report(report: DriftReport) -> None:
    icon = ":material/warning:" if report.is_drift else ":material/check_circle:"
    st.markdown(f"{icon} **{escape(report.sentence)}**")
    drift_table(report)
