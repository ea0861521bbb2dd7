"""From a trained network to one that is used: a server, smaller variants, drift, and a model card."""

from netloom.ui.shell import navigation

navigation.ensure()  # which imports the modules below while the page shows that it is loading

from netloom.ui.deploy.page import page  # noqa: E402
from netloom.ui.shell.opening import with_project  # noqa: E402

with_project(page)
