"""Sounds and their labels."""
