"""The only part of builder that knows Streamlit: what the pages share, forms, charts, and the canvas."""
