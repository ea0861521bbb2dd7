"""Modules that every other package can import: errors, settings, text and logging."""
