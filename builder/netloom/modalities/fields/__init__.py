"""Modalities: the kinds of input fields, such as images, series and texts."""
