"""The routes of the server. Every class in a file here registers itself."""
