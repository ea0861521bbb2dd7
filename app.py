"""Netloom's table of contents."""

from pathlib import Path

import streamlit as st

import builder.ui

st.set_page_config(page_title="Netloom", page_icon=str(Path(builder.ui.__file__).with_name("icon.png")), layout="wide")
st.navigation(
    [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True),
        st.Page("pages/design.py", title="Design", icon=":material/schema:"),
        st.Page("pages/data.py", title="Data", icon=":material/table_chart:"),
        st.Page("pages/train.py", title="Train", icon=":material/show_chart:"),
        st.Page("pages/explain.py", title="Explain", icon=":material/visibility:"),
    ],
    position="top",
).run()
