"""Data: what there is, what it looks like, and bringing one's own."""

from builder.ui import session
from builder.ui.datapage import datapage
from builder.ui.style import narrow

narrow()
datapage(session.store(), session.current())
