"""Netloom's entry: `streamlit run app.py`, or `netloom`. The server imports this file, and each visit runs it."""

from streamlit.starlette import App

from netloom.ui.shell.request_guard import middleware
from netloom.ui.shell.server_start import started

if __name__ == "__main__":
    # Not imported above, so that the server listens before it has imported the pages.
    from netloom.ui.shell.navigation import navigate

    navigate()
else:
    app = App(__file__, middleware=middleware(), lifespan=started)
