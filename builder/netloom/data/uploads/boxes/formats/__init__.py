"""Formats of files with the boxes of objects in images. Each is a module, which is discovered."""
