"""The explainers, one class per file."""
