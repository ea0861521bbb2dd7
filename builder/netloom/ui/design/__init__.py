"""The Design page: the canvas, its inspector, and the library."""
