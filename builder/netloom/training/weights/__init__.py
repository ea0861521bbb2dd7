"""Files of weights, checkpoints, and the weights with which training starts."""
