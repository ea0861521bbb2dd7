"""Data: what there is, what it looks like, and bringing one's own."""

from builder.ui import navigation, session
from builder.ui.datapage import datapage
from builder.ui.style import narrow

navigation.ensure()

narrow()
datapage(session.store(), session.current())
