"""The server of the pages in a process that tests and measurements watch from inside."""
