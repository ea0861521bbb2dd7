"""The export formats, one class per file."""
