"""Data: what there is, what it looks like, and bringing one's own."""

from netloom.editing.live import Live
from netloom.ui.components.style import narrow
from netloom.ui.data.page import page
from netloom.ui.shell import navigation, session
from netloom.ui.shell.opening import closed

navigation.ensure()

narrow()
found = session.current()
if isinstance(found, session.Closed):
    closed(found)
page(session.store(), found if isinstance(found, Live) else None)
