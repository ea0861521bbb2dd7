"""Train a project and watch it."""

import streamlit as st

from builder.ui import session
from builder.ui.style import narrow
from builder.ui.training import training

narrow()
live = session.current()
if live is None:
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    st.page_link("pages/home.py", label="Home", icon=":material/home:")
else:
    training(live)
