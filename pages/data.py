"""Data: what there is, what it looks like, and bringing one's own."""

from builder.ui import navigation, session
from builder.ui.datapage import datapage
from builder.ui.live import Live
from builder.ui.opening import closed
from builder.ui.style import narrow

navigation.ensure()

narrow()
found = session.current()
if isinstance(found, session.Closed):
    closed(found)
datapage(session.store(), found if isinstance(found, Live) else None)
