"""Runs that start from an earlier one: with more epochs, with more data, or again with the same settings."""
