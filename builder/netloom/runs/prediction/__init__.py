"""The network of a run after training: its predictions, the texts and images that it generates, and its metrics."""
