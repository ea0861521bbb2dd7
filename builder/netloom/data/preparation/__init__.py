"""From raw rows to tensors: fitting, encoding, and the fitted state of a run."""
