"""All runs: found, compared, continued; and sweeps."""

from builder.ui import navigation, session
from builder.ui.runtable import runtable
from builder.ui.style import narrow, nothing_yet

navigation.ensure()

narrow()
live = session.current()
if live is None:
    nothing_yet()
else:
    runtable(live)
