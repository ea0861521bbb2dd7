"""The canvas, with an inspector and the code beside it."""

from builder.ui import navigation
from builder.ui.designer import designer
from builder.ui.opening import with_project

navigation.ensure()

with_project(designer)
