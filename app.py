"""Netloom's entry: `streamlit run app.py`, or `netloom`."""

from builder.ui.navigation import navigate

navigate()
