"""The canvas, with an inspector and the code beside it."""

import streamlit as st

from builder.ui import session
from builder.ui.designer import designer

live = session.current()
if live is None:
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    st.page_link("pages/home.py", label="Home", icon=":material/home:")
else:
    designer(live)
