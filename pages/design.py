"""The canvas, with an inspector and the code beside it."""

from builder.ui import navigation, session
from builder.ui.designer import designer
from builder.ui.style import nothing_yet

navigation.ensure()

live = session.current()
if live is None:
    nothing_yet()
else:
    designer(live)
