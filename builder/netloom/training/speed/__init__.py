"""What makes a step fast: the device, precision, memory format, and the trials that choose them."""
