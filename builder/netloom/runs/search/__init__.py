"""Sweeps: the search space, the trials, and the process that advances them."""
