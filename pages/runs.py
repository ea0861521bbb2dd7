"""All runs: found, compared, continued; and sweeps."""

from netloom.ui.components.style import narrow
from netloom.ui.runs.page import page
from netloom.ui.shell import navigation
from netloom.ui.shell.opening import with_project

navigation.ensure()

narrow()
with_project(page)
