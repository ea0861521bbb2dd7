"""Explanations as Plotly figures, colored text, SVG and whole files. This package does not depend on Streamlit."""
