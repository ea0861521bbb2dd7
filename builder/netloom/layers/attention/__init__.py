"""Attention, its memory and positions, and Transformer blocks."""
