"""Explanations of many examples, and of one example across checkpoints."""
