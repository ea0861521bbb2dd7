"""Why a trained network answers as it does."""

from netloom.ui.components.style import narrow
from netloom.ui.explain.page import page
from netloom.ui.shell import navigation
from netloom.ui.shell.opening import with_project

navigation.ensure()

narrow()
with_project(page)
