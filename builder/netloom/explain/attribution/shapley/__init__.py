"""Shapley values and local surrogate models."""
