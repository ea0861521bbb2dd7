"""Arrays: their files, their values and how they are read."""
