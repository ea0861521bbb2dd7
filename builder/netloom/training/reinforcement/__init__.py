"""Reinforcement learning: the base trainer, and one file per algorithm."""
