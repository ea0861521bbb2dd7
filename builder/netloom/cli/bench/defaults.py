"""Defaults of the benchmark that the command line shows, without imports that its help does not need."""

# Optimizer steps of the large networks
STEPS = 2
