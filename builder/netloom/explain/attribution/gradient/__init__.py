"""Methods that follow gradients, or rules in their place, back to the input."""
