"""Open projects: the editor that all tabs share, its saved state, and its analysis. Without Streamlit."""
