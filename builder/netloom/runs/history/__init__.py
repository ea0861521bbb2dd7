"""What is left of runs: their records, checkpoints along the way, and how they compare with each other."""
