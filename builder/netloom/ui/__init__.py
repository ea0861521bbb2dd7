"""The user interface, the only part of Netloom that imports Streamlit: pages, forms, charts and the canvas."""
