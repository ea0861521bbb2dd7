"""The few lines of style that Streamlit has no setting for."""

import streamlit as st

STYLE = """<style>
.stMainBlockContainer{padding-top:4.2rem;padding-bottom:2rem;padding-left:2.2rem;padding-right:2.2rem}
button[kind^=primary]:not(:disabled),.stMultiSelect [data-tag],
.stMultiSelect [data-tag] *{color:light-dark(#fff,#12131a)}
[class*=st-key-results]{min-height:90vh}
button[kind^=primary]:not(:disabled):is(:hover,:active){background:light-dark(#4338ca,#a5b4fc);border-color:transparent}
</style>"""


def narrow() -> None:
    """Less empty space around the page, and text that can be read: white on the dark theme's light violet cannot.

    Hovering makes a button lighter there, where Streamlit would make it so dark that its text is lost again. Results
    take a page's height at least, so that it stays where it is scrolled to while another tab's content is on its way.
    """
    st.html(STYLE)


def nothing_yet() -> None:
    """What a page shows where there is no project at all."""
    st.info("There is no project yet. Go to Home and start with a template or an empty canvas.")
    if st.button("Go to Home", type="primary", icon=":material/home:"):
        st.switch_page("pages/home.py")
