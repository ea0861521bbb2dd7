"""The kinds of uploads, one module each."""
