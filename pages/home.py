"""Recent projects, templates, and a new beginning."""

from netloom.ui.components.style import narrow
from netloom.ui.home.page import page
from netloom.ui.shell import navigation, session

navigation.ensure()

narrow()
page(session.store())
