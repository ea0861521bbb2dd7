"""The explainers, one class per file, in a folder for each group of the list of methods."""
