"""Netloom's entry: `streamlit run app.py`, or `netloom`. The server imports this file, and each visit runs it."""

from streamlit.starlette import App

from netloom.ui.shell.navigation import navigate
from netloom.ui.shell.request_guard import middleware, opened_in_browser

if __name__ == "__main__":
    navigate()
else:
    app = App(__file__, middleware=middleware(), lifespan=opened_in_browser)
