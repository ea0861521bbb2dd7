"""Optimizers, learning rate schedules, moving averages of weights, and early stopping."""
