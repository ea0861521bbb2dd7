"""The Monitor page: the state of a served model, and collected examples."""

from __future__ import annotations

from netloom.editing.live import Live
from netloom.ui.components.errors import show_error
from netloom.ui.monitor.examples import examples
from netloom.ui.monitor.state import Key
from netloom.ui.monitor.watch import ERRORS, watch
from netloom.ui.shell.run_picker import page_head

PARTS = {
    "watch": (":material/monitor_heart: Requests", watch),
    "examples": (":material/playlist_add: Collected examples", examples),
}


def page(live: Live) -> None:
    """Draw the Monitor page."""
    head = page_head(live, "monitor it", {name: title for name, (title, _) in PARTS.items()}, Key.MODE)
    if head is None:
        return
    runs, part = head
    try:
        PARTS[part][1](live, runs)
    except ERRORS as error:
        show_error(error)
