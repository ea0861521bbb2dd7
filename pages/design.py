"""The canvas, with an inspector and the code beside it."""

from netloom.ui.design.page import page
from netloom.ui.shell import navigation
from netloom.ui.shell.opening import with_project

navigation.ensure()

with_project(page)
