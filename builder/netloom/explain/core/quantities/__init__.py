"""Explained quantities: a class for each kind of prediction."""
