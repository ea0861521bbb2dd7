"""What a run has to tell in words: the gravest first, quietly."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from netloom.store.run_summary import RunNotice
from netloom.ui.components.words import plain
from netloom.ui.train.state import Key

ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/lightbulb:"}
ORDER = list(ICONS)
# So many are shown at once; the others open on a click.
SHOWN = 2


def alerts(notices: Sequence[RunNotice]) -> None:
    """Every warning with what to do about it."""
    ordered = sorted(notices, key=lambda one: (ORDER.index(one["severity"]), -one["step"]))
    for one in ordered[:SHOWN]:
        _tell(one)
    rest = ordered[SHOWN:]
    if rest:
        with st.expander(f"{len(rest)} more warning{'s' if len(rest) > 1 else ''}", key=Key.MORE_WARNINGS):
            for one in rest:
                _tell(one)


def _tell(notice: RunNotice) -> None:
    show = {"error": st.error, "warning": st.warning, "info": st.info}[notice["severity"]]
    when = f"Seen in epoch {notice['epoch'] + 1}, step {notice['step']:,}. " if notice["step"] else ""
    show(f"{plain(notice['message'])}  \n:small[{when}{plain(notice['fix'])}]", icon=ICONS[notice["severity"]])
