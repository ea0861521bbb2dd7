"""Numerical estimates: integrals along a path, and random samples."""
