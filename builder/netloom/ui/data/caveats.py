"""Warnings about data that invalidates test scores, beside the choice of data."""

from __future__ import annotations

from functools import partial

import streamlit as st

from netloom.core.errors import JobError
from netloom.core.text import escape
from netloom.data.quality.finding import Finding
from netloom.data.quality.severe_findings import high_findings
from netloom.editing.live import Live
from netloom.ui.components.caveats import REPORT
from netloom.ui.components.errors import show_error
from netloom.ui.components.state import Key
from netloom.ui.data.quality import data_change
from netloom.ui.shell.background import in_background


def data_caveats(live: Live, page: str) -> None:
    """Draw the severe findings in the project's data with their fixes. `page` distinguishes the widgets of pages."""
    findings = in_background(partial(_findings, live))
    if isinstance(findings, JobError):
        show_error(findings)
        return
    for index, finding in enumerate(findings):
        with st.container(horizontal=True, vertical_alignment="center"):
            show_error(finding.message, head="Test scores will be misleading.", icon=REPORT)
            if finding.fix is None:
                continue
            key = Key.CAVEAT.of(page, live.id, index, finding.code)
            if st.button(escape(finding.fix.title), icon=":material/build:", help=escape(finding.advice), key=key):
                try:
                    live.apply(data_change(live.store, live, finding.fix.edit))
                except ValueError as error:
                    show_error(error)
                else:
                    st.rerun()


def _findings(live: Live) -> tuple[Finding, ...] | JobError:
    """Return the findings, or why they are unknown, which does not prevent the rest of the page."""
    try:
        return high_findings(live.project.data, live.store.home)
    except JobError as error:
        return error
