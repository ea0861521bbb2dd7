"""Activation functions and gates."""
