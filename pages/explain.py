"""Why a trained network answers as it does."""

from builder.ui import navigation, session
from builder.ui.explaining import explaining
from builder.ui.style import narrow, nothing_yet

navigation.ensure()

narrow()
live = session.current()
if live is None:
    nothing_yet()
else:
    explaining(live)
