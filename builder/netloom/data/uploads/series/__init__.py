"""The times and the windows of series."""
