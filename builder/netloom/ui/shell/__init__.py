"""The shell around all pages: navigation, the session, open projects, and errors."""
