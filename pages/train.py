"""Train a project and watch it."""

from builder.ui import navigation
from builder.ui.opening import with_project
from builder.ui.style import narrow
from builder.ui.training import training

navigation.ensure()

narrow()
with_project(training)
