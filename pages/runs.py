"""All runs: found, compared, continued; and sweeps."""

from builder.ui import navigation
from builder.ui.opening import with_project
from builder.ui.runtable import runtable
from builder.ui.style import narrow

navigation.ensure()

narrow()
with_project(runtable)
