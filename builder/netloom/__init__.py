"""Netloom: draw a neural network, train it, understand it, take it away."""
