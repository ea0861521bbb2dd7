"""Why a trained network answers as it does."""

from builder.ui import session
from builder.ui.explaining import explaining
from builder.ui.style import narrow, nothing_yet

narrow()
live = session.current()
if live is None:
    nothing_yet()
else:
    explaining(live)
