"""Trainers: one class for each way to train, and `registry`, which says what is trained by which."""
