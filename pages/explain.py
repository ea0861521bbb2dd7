"""Why a trained network answers as it does."""

import streamlit as st

from builder.ui import session
from builder.ui.explaining import explaining
from builder.ui.style import narrow

narrow()
live = session.current()
if live is None:
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    st.page_link("pages/home.py", label="Home", icon=":material/home:")
else:
    explaining(live)
