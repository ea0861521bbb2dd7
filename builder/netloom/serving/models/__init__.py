"""A served model: its backends, batches, and answers."""
