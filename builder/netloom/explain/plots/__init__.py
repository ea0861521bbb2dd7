"""Explanations as pictures: Plotly figures, coloured text, and whole files of them. Nothing here knows a page."""
