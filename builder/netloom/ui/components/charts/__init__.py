"""Charts and drawings of results."""
