"""Data as it was read, before anything was fitted: a class for each kind of field, with its own preprocessing."""
