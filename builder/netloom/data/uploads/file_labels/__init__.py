"""The labels of files: in tables, lists and names."""
