"""Methods that explain a layer or a neuron inside the network."""
