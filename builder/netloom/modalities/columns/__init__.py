"""The kinds of columns that a table can have."""
