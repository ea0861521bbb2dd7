"""Open projects: the editor that all tabs share, what is saved of it, and its analysis. Without Streamlit."""
