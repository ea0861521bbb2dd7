"""Adversarial attacks, and what-if analysis of a single example."""
