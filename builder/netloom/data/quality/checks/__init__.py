"""The quality checks, one per module."""
