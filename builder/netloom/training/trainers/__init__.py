"""Trainers, one class per training method, and the `registry` that selects one for an objective."""
