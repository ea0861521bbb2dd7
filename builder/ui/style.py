"""The few lines of style that Streamlit has no setting for."""

import streamlit as st


def narrow() -> None:
    """Less empty space around the page."""
    st.html(
        "<style>.stMainBlockContainer{padding-top:4.2rem;padding-bottom:2rem;padding-left:2.2rem;padding-right:2.2rem}</style>"
    )


def nothing_yet() -> None:
    """What a page shows where there is no project at all."""
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    if st.button("Go to Home", type="primary", icon=":material/home:"):
        st.switch_page("pages/home.py")
