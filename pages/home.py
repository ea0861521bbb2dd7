"""Recent projects, templates, and a new beginning."""

from netloom.ui.shell import navigation

navigation.ensure()  # which imports the modules below while the page shows that it is loading

from netloom.ui.home.page import page  # noqa: E402
from netloom.ui.shell import session  # noqa: E402

page(session.store())
