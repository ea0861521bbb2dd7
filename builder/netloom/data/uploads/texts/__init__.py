"""Texts in several files, and sentences with tags."""
