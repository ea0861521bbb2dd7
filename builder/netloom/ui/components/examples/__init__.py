"""Widgets that show and edit an example of the data."""
