"""From raw rows to tensors: fitting, encoding, and what is stored for a run."""
