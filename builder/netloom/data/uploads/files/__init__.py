"""The files of an upload, and the tables among them."""
