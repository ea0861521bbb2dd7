"""Train a project and watch it."""

from netloom.ui.components.style import narrow
from netloom.ui.shell import navigation
from netloom.ui.shell.opening import with_project
from netloom.ui.train.page import page

navigation.ensure()

narrow()
with_project(page)
