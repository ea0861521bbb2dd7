"""The few lines of style that Streamlit has no setting for."""

import streamlit as st


def narrow() -> None:
    """Less empty space around the page."""
    st.html(
        "<style>.stMainBlockContainer{padding-top:4.2rem;padding-bottom:2rem;padding-left:2.2rem;padding-right:2.2rem}</style>"
    )
