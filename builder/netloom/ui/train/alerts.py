"""The warnings of a run, most severe first."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.core.text import escape
from netloom.document import Edit, EditError, Project, apply
from netloom.editing.live import Live
from netloom.store.run_summary import RunNotice
from netloom.ui.train.state import Key

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/lightbulb:"}
ORDER = list(ICONS)
HELP = "Changes the document, so that the next run starts with it. You can undo it."
# The number of visible warnings; the others are in an expander.
SHOWN = 2


def alerts(live: Live, notices: Sequence[RunNotice]) -> None:
    """Draw the warnings with their fixes. A fix that is an edit of the document has a button, until it is applied."""
    ordered = sorted(notices, key=lambda notice: (ORDER.index(notice.severity), -notice.step))
    for notice in ordered[:SHOWN]:
        _show(live, notice)
    remaining = ordered[SHOWN:]
    if remaining:
        with st.expander(f"{len(remaining)} more warning{'s' if len(remaining) > 1 else ''}", key=Key.MORE_WARNINGS):
            for notice in remaining:
                _show(live, notice)


def _show(live: Live, notice: RunNotice) -> None:
    show = {"error": st.error, "warning": st.warning, "info": st.info}[notice.severity]
    when = f"Seen in epoch {notice.epoch + 1}, step {notice.step:,}. " if notice.step else ""
    show(f"{escape(notice.message)}  \n:small[{when}{escape(notice.fix)}]", icon=ICONS[notice.severity])
    suggested = notice.edit
    if suggested is not None and _changes(live.project, suggested.edit):
        key = Key.SUGGESTED.of(notice.code)
        if st.button(escape(suggested.title), icon=":material/build:", key=key, help=HELP):
            live.apply(suggested.edit)
            st.rerun()


def _changes(project: Project, edit: Edit) -> bool:
    """Whether the edit still applies to the document, which may have changed since the run started."""
    try:
        return apply(project, edit) != project
    except EditError:
        return False
