"""Benchmarks that measure Netloom and a handwritten or other program in turns, in one process."""
