"""The only part of Netloom that knows Streamlit: what the pages share, forms, charts, and the canvas."""
