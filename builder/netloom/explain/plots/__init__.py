"""Explanations as pictures: Plotly figures, colored text, and whole files of them. Nothing here knows a page."""
