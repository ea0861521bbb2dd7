"""The drift of each quantity as a table, with the tests of whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from netloom.core.text import number

if TYPE_CHECKING:
    from netloom.drift import Drift, DriftReport
    from netloom.drift.multivariate import Separation


def drift_table(report: DriftReport) -> None:
    """Draw the table of a report, and what its numbers mean."""
    st.dataframe([_row(drift) for drift in report.quantities], hide_index=True, width="stretch")
    if report.note:
        st.caption(f":material/info: {report.note}")
    st.dataframe([_whole(part) for part in report.separations], hide_index=True, width="stretch")
    st.caption(
        f"{report.rows:,} rows, compared with {report.reference:,} held-out rows. p is corrected for the number of "
        "tests (Holm). PSI: below 0.1 is stable, above 0.25 is a large shift. The second table has the multivariate "
        "tests, which compare many values of each row at once. The embeddings are the features that the last layer of "
        "the network receives. A ROC-AUC of 0.5 means that a classifier cannot tell the two samples apart."
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


def _whole(part: Separation) -> dict[str, Any]:
    return {
        "Compared": part.subject,
        "Verdict": "drift" if part.is_drift else "stable",
        "Test": part.test,
        "Statistic": f"{part.measure} {number(part.statistic, 3)}",
        "Held-out rows": part.reference,
        "These rows": part.rows,
        "p": f"{part.p:.2g}",
    }
