"""The built-in datasets, by kind."""
