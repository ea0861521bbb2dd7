"""Agents that learn by acting: the loop that they share, and one file for each way to learn."""
