"""Arrays that are computed once: in files that are mapped, and by one thread for all that ask at the same time."""
