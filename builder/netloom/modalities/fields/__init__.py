"""Modalities: what one input field of a network holds, such as an image, a series or a text."""
