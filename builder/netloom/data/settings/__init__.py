"""The settings of columns and labels that a person chooses for data."""
