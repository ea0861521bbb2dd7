"""CSS for which Streamlit has no setting."""

import streamlit as st

STYLE = """<style>
.stMainBlockContainer{padding-top:4.2rem;padding-bottom:2rem;padding-left:2.2rem;padding-right:2.2rem}
button[kind^=primary]:not(:disabled),.stMultiSelect [data-tag],
.stMultiSelect [data-tag] *{color:light-dark(#fff,#12131a)}
[class*=st-key-results]{min-height:90vh}
button[kind^=primary]:not(:disabled):is(:hover,:active){background:light-dark(#4338ca,#a5b4fc);border-color:transparent}
</style>"""


def narrow() -> None:
    """Reduce the empty space around the page, and make text on the dark theme's light violet readable.

    Hovering lightens a button there, because Streamlit would darken it until its text is unreadable. Results have at
    least the height of a page, so that the scroll position remains while the content of another tab is loading.
    """
    st.html(STYLE)


def nothing_yet() -> None:
    """Draw the content of a page without any project."""
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    if st.button("Go to Home", type="primary", icon=":material/home:"):
        st.switch_page("pages/home.py")
