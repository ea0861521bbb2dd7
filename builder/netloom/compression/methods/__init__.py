"""Methods of compression; every class in a file here registers itself."""
