"""Benchmarks that measure Netloom and a handwritten or other program in turns, in one process."""

# Optimizer steps of the large networks, here because the command line needs it before anything is imported.
STEPS = 2
