"""Data: what there is, what it looks like, and bringing one's own."""

from netloom.ui.shell import navigation

navigation.ensure()  # which imports the modules below while the page shows that it is loading

from netloom.editing.live import Live  # noqa: E402
from netloom.ui.data.page import page  # noqa: E402
from netloom.ui.shell import session  # noqa: E402
from netloom.ui.shell.opening import closed  # noqa: E402

opened = session.current()
if isinstance(opened, session.Closed):
    closed(opened)
page(session.store(), opened if isinstance(opened, Live) else None)
