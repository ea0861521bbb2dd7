"""The warnings of a run, most severe first."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.core.text import escape
from netloom.store.run_summary import RunNotice
from netloom.ui.train.state import Key

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/lightbulb:"}
ORDER = list(ICONS)
# The number of visible warnings; the others are in an expander.
SHOWN = 2


def alerts(notices: Sequence[RunNotice]) -> None:
    """Draw the warnings with their fixes."""
    ordered = sorted(notices, key=lambda notice: (ORDER.index(notice.severity), -notice.step))
    for notice in ordered[:SHOWN]:
        _tell(notice)
    remaining = ordered[SHOWN:]
    if remaining:
        with st.expander(f"{len(remaining)} more warning{'s' if len(remaining) > 1 else ''}", key=Key.MORE_WARNINGS):
            for notice in remaining:
                _tell(notice)


def _tell(notice: RunNotice) -> None:
    show = {"error": st.error, "warning": st.warning, "info": st.info}[notice.severity]
    when = f"Seen in epoch {notice.epoch + 1}, step {notice.step:,}. " if notice.step else ""
    show(f"{escape(notice.message)}  \n:small[{when}{escape(notice.fix)}]", icon=ICONS[notice.severity])
