"""Why a trained network answers as it does."""

from builder.ui import navigation
from builder.ui.explaining import explaining
from builder.ui.opening import with_project
from builder.ui.style import narrow

navigation.ensure()

narrow()
with_project(explaining)
