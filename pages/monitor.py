"""Whether the requests to a served model still look like the data of its run, and the examples collected from them."""

from netloom.ui.shell import navigation

navigation.ensure()  # which imports the modules below while the page shows that it is loading

from netloom.ui.monitor.page import page  # noqa: E402
from netloom.ui.shell.opening import with_project  # noqa: E402

with_project(page)
