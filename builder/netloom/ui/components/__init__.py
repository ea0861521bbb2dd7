"""Widgets, charts and components that several pages use."""
