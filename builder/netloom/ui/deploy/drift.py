"""Whether the rows of a file still come from the distribution of the data of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import escape, number
from netloom.drift import Drift, DriftReport
from netloom.drift.report import MIN_ROWS
from netloom.editing.live import Live
from netloom.jobs import RunWeights
from netloom.jobs.deployment import MeasureDrift
from netloom.ui.deploy.state import DeployState, Key
from netloom.ui.shell.jobs import computed
from netloom.ui.shell.row_upload import FORMATS, row_upload, stored_name, stored_upload

if TYPE_CHECKING:
    from netloom.ui.shell.streamlit_internals import UploadedFile


def drift(live: Live, weights: RunWeights) -> None:
    """Draw the upload of a file, and the drift of its rows."""
    st.markdown(
        "**Drift**: has the world changed since the network was trained? Drop rows that it meets in use. Their "
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
    st.dataframe([_row(drift) for drift in report.quantities], hide_index=True, width="stretch")
    if report.note:
        st.caption(f":material/info: {report.note}")
    for part in report.separations:
        st.caption(f"{escape(part.test)} of whole rows: {number(part.statistic)}, p = {part.p:.2g}.")
    st.caption(
        f"{report.rows:,} rows against {report.reference:,} held-out rows. p is corrected for the number of tests "
        "(Holm). PSI: below 0.1 is stable, above 0.25 is a large shift."
    )


def _row(drift: Drift) -> dict[str, Any]:
    return {
        "Quantity": drift.name,
        "Verdict": "drift" if drift.is_drift else "stable",
        "Held-out rows": drift.before,
        "These rows": drift.now,
        "p": f"{drift.p:.2g}",
        "PSI": f"{drift.comparison.psi:.2f}",
        "Test": drift.comparison.test,
    }
