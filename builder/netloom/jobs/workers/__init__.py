"""The pool of worker processes that compute jobs, and what runs in such a process."""
