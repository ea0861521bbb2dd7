"""Train a project and watch it."""

from builder.ui import navigation, session
from builder.ui.style import narrow, nothing_yet
from builder.ui.training import training

navigation.ensure()

narrow()
live = session.current()
if live is None:
    nothing_yet()
else:
    training(live)
